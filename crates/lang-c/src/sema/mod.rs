//! What operands must be and what becomes of them: conversions ([`convert`]) and operators ([`operators`]).
//!
//! These are methods of the parser, which builds the tree typed. How the grammar goes is in `parse`.

mod convert;
mod operators;
