//! host side
pub mod names;
pub mod value;
