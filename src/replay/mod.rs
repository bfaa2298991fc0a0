//! Idempotency and results kept for callers who left: the room's place; nothing is in it yet.
