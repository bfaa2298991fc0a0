//! Does the configuration mean what its reference says, and is a broken one refused as a whole?

mod broken;
mod commands;
mod reference;
mod reload;
