//! Bodies of fuzz targets. They panic when a guarantee does not hold.

use skep_isa::ProgType;
use skep_isa::ebpf::{self, Endian};
use skep_object::{Object, Program};

use crate::{Kernel, verify};

/// Any bytes, as the instructions of a program of some type, are answered.
pub fn verdicts(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let whole = &rest[..rest.len() / 8 * 8];
    let Some(insns) = ebpf::from_bytes(whole, Endian::Little) else { return };
    let prog_type = ProgType::ALL[usize::from(*choice) % ProgType::ALL.len()];
    let program = Program::new("fuzz", prog_type, insns);
    let object = Object { license: "GPL".to_owned(), ..Object::default() };
    for kernel in Kernel::ALL {
        let verdict = verify(&object, &program, kernel);
        assert_eq!(verdict, verify(&object, &program, kernel), "the verdict changes from one time to the next");
    }
}
