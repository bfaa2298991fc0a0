//! Are the pages in the binary served whole, with strict headers, and only where they should be?

mod console;
mod team;
