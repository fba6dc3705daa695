//! Values from text: every form of the notation, and that what is printed is read back.

use skep_btf::{Btf, BtfBuilder, NewMember, NewType, TypeId, Value, encode};
