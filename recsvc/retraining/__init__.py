"""From a training to a champion: what trains and what serves meet here, and nowhere below."""
