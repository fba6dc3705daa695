//! Bodies of fuzz targets. They panic when a guarantee does not hold.

use skep_isa::ProgType;
use skep_isa::ebpf::{self, Endian};
use skep_object::{Object, Program};

use crate::{Kernel, Loader, Terms, verify_by};

// TABLE
/// On which terms programs are judged.
const TERMS: [Terms<'_>; 4] = [
    Terms { types: None, variables: None, loader: Loader::ALL, no_pointer_arithmetic: false },
    Terms {
        types: None,
        variables: None,
        loader: Loader { perfmon: false, ..Loader::ALL },
        no_pointer_arithmetic: false,
    },
    Terms { types: None, variables: None, loader: Loader::NONE, no_pointer_arithmetic: false },
    Terms { types: None, variables: None, loader: Loader::ALL, no_pointer_arithmetic: true },
];

/// Any bytes, as the instructions of a program of some type, are answered for every kernel and process. What is loaded with
/// fewer capabilities is loaded with all of them, too.
pub fn verdicts(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let whole = &rest[..rest.len() / 8 * 8];
    let Some(insns) = ebpf::from_bytes(whole, Endian::Little) else { return };
    let prog_type = ProgType::ALL[usize::from(*choice) % ProgType::ALL.len()];
    let program = Program::new("fuzz", prog_type, insns);
    let object = Object { license: "GPL".to_owned(), ..Object::default() };
    for kernel in Kernel::ALL {
        let judged = |terms: &Terms<'_>| verify_by(&object, &program, kernel, terms);
        let verdicts = TERMS.each_ref().map(judged);
        for (terms, verdict) in TERMS.iter().zip(&verdicts) {
            assert_eq!(*verdict, judged(terms), "the verdict changes from one time to the next");
            let less = verdict.accepted() == Some(true) && verdicts[0].accepted() == Some(false);
            assert!(!less, "accepted with less: {terms:?} on {}", kernel.name());
        }
    }
}
