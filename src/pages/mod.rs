//! The pages: which file is served under which name, with which headers.
//!
//! [`asset`] is an embedded file and its answer, [`headers`] the security headers, [`team`] the
//! page for a team, [`console`] the page for operators. The files are plain modules that the
//! browser runs as they are, without a build step.
//!
//! | folder | holds |
//! |---|---|
//! | `vendor` | the libraries, as `vendor.mjs` fetches them: Preact and htm for elements, uPlot for charts. They are small, have no build step, and escape text by construction |
//! | `shared` | what every page needs: style, credits, times, elements |
//! | `team` | the team page, a file per view |
//! | `console` | the console, a file per view |

pub mod asset;
pub mod console;
pub mod headers;
pub mod team;

pub use console::Console;
pub use team::Pages;
