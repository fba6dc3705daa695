//! Compiled programs in the virtual machine and in the running kernel.
