//! What the alerts say on recordings of incidents, and that real rules say the same there.
