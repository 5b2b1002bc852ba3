"""An index of one's own photographs: made, kept up to date, and searched by photographs."""
