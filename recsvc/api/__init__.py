"""HTTP in front of the service: the only package that speaks flask, marshmallow and werkzeug.

A request passes `boundary` (its id, limits, the log line), `access` (who may), `query` (what is asked)
and a view of one audience: `recommendations`, `browsing`, `health`, `documentation`. Whatever goes
wrong on the way becomes a problem document in `problems`.
"""
