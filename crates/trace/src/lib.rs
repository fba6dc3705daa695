//! host side
pub mod events;
pub mod format;
pub mod fuzz;
pub mod maps;
pub mod names;
#[cfg(test)]
mod testing;
pub mod value;
