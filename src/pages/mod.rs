//! The pages: which file is served under which name, with which headers.
//!
//! [`asset`] is an embedded file and its answer, [`headers`] the security headers, [`team`] the
//! page for a team, [`console`] the page for operators. The files are plain modules that the
//! browser runs as they are, without a build step; the libraries are small, need none either, and
//! escape text by construction.
//!
//! | folder | holds |
//! |---|---|
//! | `vendor` | Preact and htm for elements, uPlot for charts, as `vendor.mjs` fetches them |
//! | `shared` | what every page needs: style, credits, times, elements |
//! | `team` | the team page, a file per view |
//! | `console` | the console, a file per view |

pub mod asset;
pub mod console;
pub mod headers;
pub mod team;

pub use console::Console;
pub use team::Pages;
