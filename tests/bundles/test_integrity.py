"""Whatever happens to the files of a bundle, it is refused by name."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.item_pages import IS_LIVE, VALID_TO, item_arrays
from recsvc.bundles.layouts import (
    CATALOGUE,
    COMMON,
    FACTOR_FAMILIES,
    LIVE_NEVER_NEGATIVE,
    LIVE_PARTS,
    OF_FAMILY,
    SIMILARITY_FAMILIES,
    layout_of,
    optional_layouts,
)
from recsvc.bundles.manifest import FORMAT, PartFacts, encode_manifest
from recsvc.bundles.opening import MANIFEST_FILE, open_bundle, read_manifest
from recsvc.errors import (
    BundleCorruptError,
    BundleError,
    BundleIncompatibleError,
    BundleNotFoundError,
    GoldenQueryError,
)
from recsvc.live.scoring import NEVER_NEGATIVE
from recsvc.live.scoring import PARTS as PARTS_OF_LIVE
from recsvc.serving import verification
from recsvc.serving.scoring import Scorer
from recsvc.serving.verification import load_model

from ..small_bank import Arrays, flip, publish_changed
from .whole_bundle import FOLD_IN, LIVE, PARTS, publish_whole

N_HEADER = 128  # Bytes of an array file before its numbers.


@pytest.fixture(scope="module")
def whole(published: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with every array that there is. Nobody may change it."""
    folder = tmp_path_factory.mktemp("whole")
    return publish_whole(Path(shutil.copytree(published[0], folder / published[0].name)))


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "models" / whole.name))


@pytest.fixture(scope="module")
def touched(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy for tests that put back whatever they change."""
    return Path(shutil.copytree(whole, tmp_path_factory.mktemp("touched") / whole.name))


def array_files(bundle: Path) -> list[Path]:
    return sorted(bundle.glob("*.npy"))


def refusal(bundle: Path) -> BundleCorruptError:
    with pytest.raises(BundleCorruptError) as refused:
        open_bundle(bundle)
    assert bundle.name in str(refused.value)
    return refused.value


def test_a_bundle_as_it_was_published_is_opened(bundle: Path, published: tuple[Path, Path]) -> None:
    for path in (bundle, *published):
        opened = load_model(path).bundle
        assert opened.version == path.name
        assert {file.stem for file in array_files(path)} == opened.arrays.keys() >= COMMON.keys()


def test_every_array_that_a_bundle_may_have_is_in_the_one_that_is_broken_here(bundle: Path) -> None:
    assert {part.family for part in PARTS} == OF_FAMILY.keys()
    layouts = (layout_of(list(OF_FAMILY)), *optional_layouts(list(OF_FAMILY)))
    assert {name for layout in layouts for name in layout} == {file.stem for file in array_files(bundle)}


def test_the_live_parts_that_a_bundle_may_name_are_those_that_are_served() -> None:
    assert LIVE_PARTS == PARTS_OF_LIVE
    assert LIVE_NEVER_NEGATIVE == NEVER_NEGATIVE


def test_one_flipped_byte_in_any_array_is_refused_by_the_name_of_the_file(touched: Path) -> None:
    for file in array_files(touched):
        size = file.stat().st_size
        for position in sorted({0, 6, 8, 60, 127, 128 % size, size // 2, size - 2, size - 1}):
            flip(file, position)
            refused = refusal(touched)
            assert refused.part == file.name, (file.name, position)
            assert file.name in str(refused)
            flip(file, position)
    open_bundle(touched)


@settings(deadline=None, max_examples=100)
@given(
    which=st.floats(0, 1, exclude_max=True), where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255)
)
def test_no_byte_can_be_changed_in_any_way(touched: Path, which: float, where: float, mask: int) -> None:
    files = [*array_files(touched), touched / MANIFEST_FILE]
    file = files[int(which * len(files))]
    position = int(where * file.stat().st_size)
    flip(file, position, mask)
    try:
        with pytest.raises(BundleError):
            open_bundle(touched)
    finally:
        flip(file, position, mask)


def test_every_byte_of_the_manifest_counts(touched: Path) -> None:
    file = touched / MANIFEST_FILE
    raw = file.read_bytes()
    try:
        for position in range(0, len(raw), 13):
            for mask in (0x01, 0x2A):  # 0x2a makes a line feed of a space, which is the same JSON.
                flip(file, position, mask)
                with pytest.raises(BundleError):
                    read_manifest(touched)
                flip(file, position, mask)
    finally:
        file.write_bytes(raw)
    read_manifest(touched)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(touched: Path, kept: float) -> None:
    for file in array_files(touched):
        raw = file.read_bytes()
        file.write_bytes(raw[: int(len(raw) * kept)])
        assert refusal(touched).part == file.name
        file.write_bytes(raw)


def test_a_file_with_a_byte_more_is_refused(touched: Path) -> None:
    for file in array_files(touched):
        raw = file.read_bytes()
        file.write_bytes(raw + b"\0")
        assert refusal(touched).part == file.name
        file.write_bytes(raw)


def test_a_file_that_is_gone_is_refused(touched: Path) -> None:
    for file in array_files(touched):
        raw = file.read_bytes()
        file.unlink()
        assert refusal(touched).part == file.name
        assert refusal(touched).reason == "is missing"
        file.write_bytes(raw)


def test_a_file_that_does_not_belong_is_refused(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("hello")
    assert refusal(bundle).part == "notes.txt"


def test_a_folder_in_place_of_an_array_is_refused(bundle: Path) -> None:
    (bundle / "popularity.npy").unlink()
    (bundle / "popularity.npy").mkdir()
    assert refusal(bundle).part == "popularity.npy"


def swap_tables(bundle: Path) -> None:
    for part in ("text", "offsets"):
        one, other = (bundle / f"{name}_ids_{part}.npy" for name in ("item", "customer"))
        kept = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(kept)


def test_swapped_id_tables_are_refused(bundle: Path) -> None:
    swap_tables(bundle)
    assert "_ids_" in refusal(bundle).part


def test_swapped_id_tables_are_refused_even_when_the_manifest_is_made_to_agree(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    swap_tables(bundle)
    facts = dict(manifest.arrays)
    for part in ("text", "offsets"):
        one, other = f"item_ids_{part}", f"customer_ids_{part}"
        facts[one], facts[other] = facts[other], facts[one]
    forged = replace(manifest, arrays=facts)
    (bundle / MANIFEST_FILE).write_bytes(encode_manifest(forged))
    assert refusal(bundle).part == MANIFEST_FILE

    forged = forged.with_version()
    renamed = bundle.rename(bundle.with_name(forged.version))
    (renamed / MANIFEST_FILE).write_bytes(encode_manifest(forged))
    assert "_ids_" in refusal(renamed).part


def test_ids_that_are_not_those_of_the_catalogue_are_refused(bundle: Path) -> None:
    def rename(arrays: Arrays) -> None:
        arrays["item_ids_text"][arrays["item_ids_offsets"][:-2]] = ord("A")

    assert refusal(publish_changed(bundle, rename)).part == "catalogue.npy"


def set_at(name: str, place: object, value: float) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[name][place] = value

    return change


UNSOUND: dict[str, tuple[str, Callable[[Arrays], object]]] = {
    "nan": ("popularity", set_at("popularity", 3, np.nan)),
    "infinite": ("segment_popularity", set_at("segment_popularity", (0, 0), np.inf)),
    "nan_double": ("profile_monetary_value", set_at("profile_monetary_value", -1, np.nan)),
    "negative_count": ("popularity", set_at("popularity", 0, -1)),
    "no_strength": ("history_strengths", set_at("history_strengths", 5, 0)),
    "negative_strength": ("history_strengths", set_at("history_strengths", 5, -1)),
    "item_beyond_the_last": ("history_items", set_at("history_items", 0, 10_000)),
    "item_before_the_first": ("history_items", set_at("history_items", 0, -1)),
    "refused_beyond_the_last": ("refused_items", set_at("refused_items", 0, 10_000)),
    "segment_beyond_the_last": ("profile_segment", set_at("profile_segment", 0, 3)),
    "history_offsets_back": ("history_offsets", set_at("history_offsets", 1, 10_000)),
    "history_offsets_start": ("history_offsets", set_at("history_offsets", 0, 1)),
    "history_offsets_end": ("history_offsets", set_at("history_offsets", -1, 0)),
    "refused_offsets_negative": ("refused_offsets", set_at("refused_offsets", 2, -4)),
    "item_offsets_beyond": ("item_ids_offsets", set_at("item_ids_offsets", -1, 10_000)),
    "customer_offsets_back": ("customer_ids_offsets", set_at("customer_ids_offsets", 5, 0)),
    "no_text": ("item_ids_text", set_at("item_ids_text", 2, 0xFF)),
    "ids_out_of_order": ("item_ids_offsets", set_at("item_ids_text", 0, ord("z"))),
    "customers_out_of_order": (
        "customer_ids_offsets",
        lambda a: set_at("customer_ids_text", a["customer_ids_offsets"][4], ord("."))(a),
    ),
    "another_type": ("popularity", lambda a: a.update(popularity=a["popularity"].astype(np.float64))),
    "too_few": ("popularity", lambda a: a.update(popularity=a["popularity"][:-1])),
    "flat": ("segment_popularity", lambda a: a.update(segment_popularity=a["segment_popularity"][0])),
    "strengths_of_another_length": (
        "history_strengths",
        lambda a: a.update(history_strengths=a["history_strengths"][:-1]),
    ),
    "no_popularity": ("popularity", lambda a: a.pop("popularity")),
    "no_offsets": ("item_ids_offsets", lambda a: a.update(item_ids_offsets=a["item_ids_offsets"][:0])),
    "no_catalogue": ("catalogue_offsets", lambda a: a.update(catalogue=a["catalogue"][:-1])),
    "no_json": ("catalogue", set_at("catalogue", 0, ord("x"))),
    "item_offsets_back": (
        "catalogue_offsets",
        lambda a: set_at("catalogue_offsets", 1, a["catalogue_offsets"][2] + 1)(a),
    ),
    "items_of_another_status": ("catalogue_columns", set_at("catalogue_columns", (3, IS_LIVE), 2)),
    "items_valid_at_another_time": ("catalogue_columns", set_at("catalogue_columns", (3, VALID_TO), 0)),
    "columns_of_fewer": (
        "catalogue_columns",
        lambda a: a.update(catalogue_columns=a["catalogue_columns"][:-1]),
    ),
    "no_factors": ("bpr_item_factors", lambda a: a.pop("bpr_item_factors")),
    "nan_factor": ("als_item_factors", set_at("als_item_factors", (2, 1), np.nan)),
    "gram_of_other_factors": ("lmf_gram", lambda a: a.update(lmf_gram=a["lmf_gram"][:-1, :-1])),
    "gram_not_square": ("spectral_gram", lambda a: a.update(spectral_gram=a["spectral_gram"][:-1])),
    "no_fold_in": ("spectral_fold_in", lambda a: a.pop("spectral_fold_in")),
    "fold_in_of_fewer": (
        "spectral_fold_in",
        lambda a: a.update(spectral_fold_in=a["spectral_fold_in"][:-1]),
    ),
    "weights_of_fewer": ("ease_weights", lambda a: a.update(ease_weights=a["ease_weights"][:, :-1])),
    "neighbour_beyond_the_last": ("neighbours_items", set_at("neighbours_items", (0, 0), 10_000)),
    "neighbour_before_nobody": ("cooccurrence_items", set_at("cooccurrence_items", (0, 0), -2)),
    "neighbours_without_scores": (
        "neighbours_scores",
        lambda a: a.update(neighbours_scores=a["neighbours_scores"][:, :-1]),
    ),
    "proposal_beyond_the_last": ("proposal_items", set_at("proposal_items", (3, 1), 10_000)),
    "proposals_without_scores": ("proposal_scores", lambda a: a.pop("proposal_scores")),
    "scores_without_proposals": ("proposal_items", lambda a: a.pop("proposal_items")),
    "proposals_of_fewer": ("proposal_items", lambda a: a.update(proposal_items=a["proposal_items"][:-1])),
    "features_without_names": ("feature_names_text", lambda a: a.pop("feature_names_text")),
    "features_of_one_family_only": ("als_feature_factors", lambda a: a.pop("als_feature_factors")),
    "factors_of_fewer_features": (
        "als_feature_factors",
        lambda a: a.update(als_feature_factors=a["als_feature_factors"][:-1]),
    ),
    "features_of_other_factors": (
        "spectral_feature_factors",
        lambda a: a.update(spectral_feature_factors=a["spectral_feature_factors"][:, :-1]),
    ),
    "feature_offsets_back": ("feature_names_offsets", set_at("feature_names_offsets", 1, 10_000)),
    "features_not_utf8": ("feature_names_text", set_at("feature_names_text", -1, 0xFF)),
    "features_out_of_order": ("feature_names_offsets", set_at("feature_names_text", 0, ord("z"))),
    "live_without_meetings": ("live_meeting_items", lambda a: a.pop("live_meeting_items")),
    "live_of_fewer_items": ("live_firsts", lambda a: a.update(live_firsts=a["live_firsts"][:-1])),
    "live_of_one_half_life": (
        "live_log_counts",
        lambda a: a.update(live_log_counts=a["live_log_counts"][:, :1]),
    ),
    "live_count_nan": ("live_log_counts", set_at("live_log_counts", (3, 1), np.nan)),
    "live_never_first": ("live_firsts", set_at("live_firsts", 2, np.inf)),
    "live_last_before_first": ("live_lasts", set_at("live_lasts", 2, 0.0)),
    "live_met_negative": ("live_met", set_at("live_met", 2, -1)),
    "meeting_of_nobody": ("live_meeting_customers", set_at("live_meeting_customers", 0, -1)),
    "meeting_beyond_the_last": ("live_meeting_items", set_at("live_meeting_items", 0, 10_000)),
    "meetings_out_of_order": ("live_meeting_seconds", set_at("live_meeting_seconds", 5, 1e12)),
    "meetings_of_other_times": (
        "live_meeting_seconds",
        lambda a: a.update(live_meeting_seconds=a["live_meeting_seconds"][:-1]),
    ),
    "another_catalogue": ("catalogue", lambda a: a.update(item_arrays(()))),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_arrays_that_are_written_well_but_unsound_are_refused_by_name(bundle: Path, case: str) -> None:
    name, change = UNSOUND[case]
    assert refusal(publish_changed(bundle, change)).part == f"{name}.npy"


UNSCANNABLE: dict[str, tuple[str, Callable[[Arrays], object]]] = {
    "row_twice": ("scan_rows", lambda a: a["scan_rows"].__setitem__(1, a["scan_rows"][0])),
    "rows_missing": ("scan_rows", lambda a: a.pop("scan_rows")),
    "factors_of_another": ("scan_factors", lambda a: a["scan_factors"].__setitem__((3, 1), 0.5)),
    "factors_of_fewer": ("scan_factors", lambda a: a.update(scan_factors=a["scan_factors"][:-1])),
}


@pytest.mark.parametrize("case", UNSCANNABLE)
def test_what_is_laid_out_to_be_scanned_must_be_what_is_scored(bundle: Path, case: str) -> None:
    name, change = UNSCANNABLE[case]
    parts = (PartFacts("als", 1.0, FOLD_IN),)
    facts = {"parts": parts, "golden_queries": (), "live": None, "propensity": None}

    def laid_out(arrays: Arrays) -> None:
        kept = layout_of(["als"]) | CATALOGUE
        for other in [one for one in arrays if one not in kept]:
            del arrays[other]
        factors = arrays["als_item_factors"]
        rows = np.argsort(-np.linalg.norm(factors, axis=1), kind="stable").astype(np.int32)
        arrays.update(scan_rows=rows, scan_factors=factors[rows])

    sound = publish_changed(bundle, laid_out, facts)
    assert "scan_rows" in open_bundle(sound).arrays
    changed = {"name": f"changed again: {case}"}
    assert refusal(publish_changed(sound, change, changed)).part == f"{name}.npy"


def test_an_array_of_objects_is_refused_and_never_unpickled(bundle: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    manifest = read_manifest(bundle)
    file = bundle / "popularity.npy"
    np.save(file, np.array([Trap()] * manifest.rows.items, dtype=object), allow_pickle=True)
    fact = replace(
        manifest.arrays["popularity"], dtype="|O", sha256=hashlib.sha256(file.read_bytes()).hexdigest()
    )
    forged = replace(manifest, arrays={**manifest.arrays, "popularity": fact}).with_version()
    renamed = bundle.rename(bundle.with_name(forged.version))
    (renamed / MANIFEST_FILE).write_bytes(encode_manifest(forged))
    assert refusal(renamed).part == "popularity.npy"
    assert not (tmp_path / "sprung").exists()


def test_arrays_are_mapped_and_cannot_be_written_to(bundle: Path) -> None:
    opened = open_bundle(bundle)
    for name, array in opened.arrays.items():
        assert not array.flags.writeable, name
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert f"{bundle.name}/popularity.npy" in maps.read_text()


def test_a_bundle_knows_when_its_files_were_touched(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert opened.is_untouched()
    file = bundle / "popularity.npy"
    file.write_bytes(file.read_bytes()[:-1])
    assert not opened.is_untouched()
    file.unlink()
    assert not opened.is_untouched()


# --- the manifest ---------------------------------------------------------------------------------


def test_a_missing_bundle_and_a_missing_manifest_are_not_found(bundle: Path) -> None:
    with pytest.raises(BundleNotFoundError, match="recsvc models list"):
        open_bundle(bundle.with_name("20260301T093000Z-als-000000"))
    (bundle / MANIFEST_FILE).unlink()
    with pytest.raises(BundleNotFoundError):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"not json",
        b'{"format": "1"}',
        b'{"format": %d}' % FORMAT,
        b"[" * 100_000,
    ],
    ids=["empty", "nothing", "list", "null", "binary", "prose", "text_format", "only_format", "deep"],
)
def test_a_manifest_that_is_none_is_refused(bundle: Path, raw: bytes) -> None:
    (bundle / MANIFEST_FILE).write_bytes(raw)
    assert refusal(bundle).part == MANIFEST_FILE


def test_a_manifest_of_another_version_is_refused(shelf: tuple[Path, Path]) -> None:
    shutil.copy(shelf[1] / MANIFEST_FILE, shelf[0] / MANIFEST_FILE)
    assert refusal(shelf[0]).part == MANIFEST_FILE
    moved = shelf[0].rename(shelf[0].with_name("20260301T093000Z-als-abcdef"))
    assert refusal(moved).part == MANIFEST_FILE


def test_a_manifest_that_says_more_than_it_may_is_refused(bundle: Path) -> None:
    file = bundle / MANIFEST_FILE
    file.write_bytes(file.read_bytes().replace(b"{\n", b'{\n "unknown": 1,\n', 1))
    assert refusal(bundle).part == MANIFEST_FILE


def test_a_bundle_of_a_later_format_is_incompatible(bundle: Path) -> None:
    manifest = replace(read_manifest(bundle), format=FORMAT + 1)
    (bundle / MANIFEST_FILE).write_bytes(encode_manifest(manifest))
    with pytest.raises(BundleIncompatibleError, match=f"format {FORMAT + 1}, this release reads 2, {FORMAT}"):
        open_bundle(bundle)


def test_a_bundle_of_the_first_format_is_incompatible_and_the_remedy_is_to_train_again(bundle: Path) -> None:
    """As the release before wrote it: one family, with its parameters beside it."""
    facts = json.loads((bundle / MANIFEST_FILE).read_bytes())
    del facts["parts"], facts["strength_scale"]
    facts |= {"format": 1, "family": "als", "parameters": {"confidence": 40.0, "strength_scale": 0.7}}
    (bundle / MANIFEST_FILE).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    with pytest.raises(BundleIncompatibleError, match=f"format 1, .* reads 2, {FORMAT}; train again"):
        open_bundle(bundle)


def test_a_bundle_of_the_format_before_is_read_as_it_was(bundle: Path) -> None:
    """Its catalogue is one list, which nothing leads into."""
    before = [*open_bundle(bundle).catalogue]

    def as_one_list(arrays: Arrays) -> None:
        del arrays["catalogue_offsets"], arrays["catalogue_columns"]
        arrays["catalogue"] = np.frombuffer(msgspec.json.encode(before), np.uint8)

    opened = open_bundle(publish_changed(bundle, as_one_list, {"format": 2}))
    assert opened.manifest.format == 2
    assert [*opened.catalogue] == before and opened.catalogue.at(3) == before[3]


def test_a_manifest_cannot_point_outside_of_its_bundle(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    fact = manifest.arrays["popularity"]
    forged = replace(manifest, arrays={**manifest.arrays, "../popularity": fact}).with_version()
    renamed = bundle.rename(bundle.with_name(forged.version))
    (renamed / MANIFEST_FILE).write_bytes(encode_manifest(forged))
    assert refusal(renamed).part == "../popularity.npy"


# --- what only asking can find --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *(f"{family}_item_factors" for family in FACTOR_FAMILIES),
        *(f"{family}_gram" for family in FACTOR_FAMILIES),
        *(f"{family}_scores" for family in SIMILARITY_FAMILIES),
        "spectral_fold_in",
        "ease_weights",
        "popularity",
    ],
)
def test_a_model_that_answers_otherwise_than_at_training_is_refused(bundle: Path, name: str) -> None:
    def scale(arrays: Arrays) -> None:
        array = arrays[name]
        by = np.linspace(0.5, 2, len(array), dtype=np.float32).reshape(-1, *[1] * (array.ndim - 1))
        arrays[name] = (array + array.T) * 2 if name.endswith("_gram") else array * by

    with pytest.raises(GoldenQueryError, match="golden query 1"):
        load_model(publish_changed(bundle, scale))


def test_a_file_that_changes_while_it_is_checked_is_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = bundle / "popularity.npy"
    make_scorer = verification.make_scorer

    def change_and_make(opened: Bundle) -> Scorer:
        held = array.read_bytes()
        with array.open("r+b") as file:
            file.seek(N_HEADER)
            file.write(bytes(len(held) - N_HEADER))
        return make_scorer(opened)

    monkeypatch.setattr(verification, "make_scorer", change_and_make)
    with pytest.raises(BundleCorruptError, match=array.name):
        load_model(bundle)


def test_a_golden_query_about_unknown_items_is_refused(bundle: Path) -> None:
    queries = read_manifest(bundle).golden_queries
    forged = (replace(queries[0], best=("nothing", *queries[0].best[1:])), *queries[1:])
    with pytest.raises(GoldenQueryError):
        load_model(publish_changed(bundle, lambda arrays: None, {"golden_queries": forged}))


def test_what_is_older_or_was_passed_over_may_be_weighed_below_0(bundle: Path) -> None:
    weights = {**LIVE.weights, "newness": -0.1, "passed_over": -0.1, "depth": -0.1}
    assert load_model(publish_changed(bundle, lambda arrays: None, {"live": replace(LIVE, weights=weights)}))


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"parts": (PartFacts("oracle", 1.0, {}),)}, "'oracle' is not one that this release knows"),
        ({"parts": (*PARTS, PartFacts("oracle", 1.0, {}))}, "'oracle' is not one that this release knows"),
        ({"parts": (PartFacts("als", 1.0, {}),)}, "its arrays"),
        ({"parts": (PartFacts("als", 1.0, {**FOLD_IN, "confidence": "much"}),)}, "its arrays"),
        ({"parts": ()}, "its parts"),
        ({"parts": (*PARTS, PARTS[0])}, "its parts"),
        ({"parts": (*PARTS[1:], PartFacts("als", 0.0, FOLD_IN))}, "its parts"),
        ({"parts": (*PARTS[1:], PartFacts("als", -0.5, FOLD_IN))}, "its parts"),
        ({"parts": (*PARTS[1:], PartFacts("als", math.inf, FOLD_IN))}, "manifest.json"),
        ({"live": replace(LIVE, weights={"popularity": 1.0})}, "its live parts are not popularity, "),
        (
            {"live": replace(LIVE, weights={**LIVE.weights, "depth": math.inf})},
            "manifest.json",
        ),
        ({"live": replace(LIVE, trained_weight=math.nan)}, "manifest.json"),
        ({"live": replace(LIVE, trained_weight=-0.1)}, "its live parts weigh the trained score below 0"),
        *(
            (
                {"live": replace(LIVE, weights={**LIVE.weights, name: -0.1})},
                f"its live parts weigh {name} below 0",
            )
            for name in sorted(LIVE_NEVER_NEGATIVE)
        ),
        ({"live": replace(LIVE, half_life_days=0.0)}, "its live parts have half-lives"),
        ({"live": replace(LIVE, long_half_life_days=-1.0)}, "its live parts have half-lives"),
        ({"live": None}, "live_firsts.npy is there, but its manifest names no live parts"),
        ({"strength_scale": 0.0}, "its strength scale"),
        ({"strength_scale": -1.0}, "its strength scale"),
        ({"strength_scale": math.nan}, "manifest.json"),
    ],
    ids=[
        "family",
        "one_family_of_many",
        "no_parameters",
        "text_parameter",
        "no_parts",
        "twice_a_family",
        "no_weight",
        "negative_weight",
        "infinite_weight",
        "live_parts_of_another_release",
        "live_weight_infinite",
        "trained_weight_nan",
        "trained_weight_negative",
        *(f"live_{name}_negative" for name in sorted(LIVE_NEVER_NEGATIVE)),
        "no_half_life",
        "long_half_life_negative",
        "live_arrays_of_nothing",
        "no_scale",
        "negative_scale",
        "nan_scale",
    ],
)
def test_a_model_that_cannot_be_asked_is_refused(bundle: Path, facts: dict[str, object], says: str) -> None:
    with pytest.raises(BundleCorruptError, match=says):
        load_model(publish_changed(bundle, lambda arrays: None, facts))
