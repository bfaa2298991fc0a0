//! Who is calling: takes the credential off the request and puts a principal in its place.
//!
//! Reads: `Authorization` or `X-API-Key`. Writes: the record's team, user and credential; removes the credential's headers.
//! Refuses: `credential_*`, `team_unknown`, `team_suspended`, `invalid_request` (two credentials).
//! Position: above everything that knows of teams. Nothing below ever sees the credential.
