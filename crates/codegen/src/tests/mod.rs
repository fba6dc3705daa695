//! Tests of code generation.
