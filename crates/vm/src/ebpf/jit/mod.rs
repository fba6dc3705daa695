//! Translation of checked 64-bit programs to machine code, one module per processor.

mod x86;
