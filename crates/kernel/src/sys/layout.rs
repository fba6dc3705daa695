//! Structures that are shared with the kernel: how they are declared, and the proof that they are the kernel's.
//!
//! [`plain!`](plain) declares a structure together with a test of the same name, which compares every field with the
//! running kernel's BTF. So no structure can be forgotten. [`constants!`](constants) does the same for enumerations.
//!
//! ```text
//! plain! {
//!     /// `BPF_MAP_*_BATCH`
//!     struct MapBatch = "bpf_attr.batch" { in_batch: u64, ... }
//!     /// The part of `struct bpf_link_info` about XDP, which begins at byte 16.
//!     struct LinkXdp = "bpf_link_info.xdp" at 16 { ifindex: u32, }
//! }
//! ```
//!
//! Fields have the kernel's names; anonymous structures and unions of the kernel count as part of the one around them.
//! Names that begin with `pad` are not compared. `bits_NAME` is a word of bit fields of which NAME is the first.

/// Marks structures of plain integers without hidden padding: any bit pattern is a value, every byte is initialised.
///
/// # Safety
/// `repr(C)`, all fields integers or arrays of them, and the sizes of the fields add up to the size of the structure.
pub(crate) unsafe trait Plain: Copy + Default {
    /// The value in the first bytes of `bytes`; bytes that are missing count as zero.
    fn from_prefix(bytes: &[u8]) -> Self {
        let mut value = Self::default();
        let length = size_of::<Self>().min(bytes.len());
        // SAFETY: `value` has at least `length` bytes, any bytes make a value, and the two do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut value).cast::<u8>(), length) };
        value
    }

    /// The bytes of the value.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: every byte of the structure is initialised, and the slice borrows it.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }
}

// SAFETY: integers have no padding and take any bits.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}

/// Declares `repr(C)` structures of integers, refuses to compile if there is padding between their fields, and adds a
/// test for each that compares it with the kernel's; see the module.
macro_rules! plain {
    ($($(#[$doc:meta])* struct $name:ident = $kernel:literal $(at $base:literal)?
        { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        #[repr(C)]
        pub(crate) struct $name { $($(#[$field_doc])* pub(crate) $field: $type,)* }

        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$type>())*, "padding must be a field");

        // SAFETY: `repr(C)`, the fields are integers, and the assertion above excludes hidden padding.
        unsafe impl $crate::sys::layout::Plain for $name {}

        #[cfg(test)]
        #[test]
        #[allow(non_snake_case)]
        fn $name() {
            let fields = [$((stringify!($field), std::mem::offset_of!($name, $field), size_of::<$type>()),)*];
            let base: &[usize] = &[$($base)?];
            $crate::sys::layout::tests::check($kernel, base.first().copied().unwrap_or(0), &fields);
        }
    )*};
}
pub(crate) use plain;

/// Declares the constants of an enumeration of the kernel, whose names there begin with a prefix, in a module that also
/// holds a test which compares every value.
macro_rules! constants {
    ($(#[$doc:meta])* mod $module:ident: $type:ty = $prefix:literal
        { $($(#[$each:meta])* $name:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[allow(dead_code)] // Tables are complete even where one row is not used.
        pub(crate) mod $module {
            $($(#[$each])* pub(crate) const $name: $type = $value;)*

            #[cfg(test)]
            #[test]
            fn values() {
                let all = [$((concat!($prefix, stringify!($name)), i128::from($name)),)*];
                $crate::sys::layout::tests::check_constants(&all);
            }
        }
    };
}
pub(crate) use constants;

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;
    use std::sync::OnceLock;

    use skep_btf::{Btf, Composite, Kind, TypeId};
    use skep_isa::Release;

    /// The release that has all of these structures, fields and values. They only ever get more.
    const COMPLETE: Release = Release::new(6, 18);

    fn is_older() -> bool {
        crate::running_release().is_some_and(|running| running < COMPLETE)
    }

    /// Something that the running kernel has not got, which only old kernels may lack.
    fn lacking(what: &str) {
        assert!(is_older(), "the kernel has no {what}");
        println!("SKIPPED: this kernel has no {what}; Linux {COMPLETE} has");
    }

    /// The running kernel's types; `None` if it has none.
    fn kernel() -> Option<&'static Btf> {
        static KERNEL: OnceLock<Option<Btf>> = OnceLock::new();
        let read = || Some(Btf::parse(std::fs::read("/sys/kernel/btf/vmlinux").ok()?).expect("the kernel's BTF"));
        let found = KERNEL.get_or_init(read).as_ref();
        if found.is_none() {
            crate::skip("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)");
        }
        found
    }

    fn composite(btf: &Btf, ty: TypeId) -> Option<Composite<'_>> {
        match btf.resolved(ty).ok()? {
            Kind::Struct(composite) | Kind::Union(composite) => Some(composite),
            _ => None,
        }
    }

    /// A member by its name, also inside of anonymous ones: type and distance in bits.
    fn member(btf: &Btf, outer: Composite<'_>, name: &str) -> Option<(TypeId, u32)> {
        outer.members().find_map(|member| match btf.string(member.name).ok()? {
            "" => {
                let (ty, offset) = self::member(btf, composite(btf, member.ty)?, name)?;
                Some((ty, offset + member.bit_offset))
            }
            found => (found == name).then_some((member.ty, member.bit_offset)),
        })
    }

    /// Compares the fields of a structure with those of the kernel's structure or union `path`, whose parts are separated
    /// by dots, and the place of that part with `base`.
    pub(crate) fn check(path: &str, base: usize, fields: &[(&str, usize, usize)]) {
        let Some(btf) = kernel() else { return };
        let mut parts = path.split('.');
        let root = parts.next().unwrap_or_default();
        let root = btf
            .ids()
            .find(|id| btf.name(*id) == Ok(root) && matches!(btf.kind(*id), Ok(Kind::Struct(_) | Kind::Union(_))));
        let Some(mut current) = root else { return lacking(&format!("`{path}`")) };
        let mut place = 0;
        for part in parts {
            let outer = composite(btf, current).unwrap_or_else(|| panic!("`{path}`: no structure before `{part}`"));
            let Some((ty, offset)) = member(btf, outer, part) else {
                return lacking(&format!("part `{part}` of `{path}`"));
            };
            current = ty;
            place += offset as usize / 8;
        }
        assert_eq!(place, base, "where `{path}` begins");
        let outer = composite(btf, current).unwrap_or_else(|| panic!("`{path}` is no structure"));
        let mut compared = 0;
        for (name, offset, size) in fields {
            let name = name.trim_start_matches("r#");
            if name.starts_with("pad") {
                continue;
            }
            let (name, bits) = name.strip_prefix("bits_").map_or((name, false), |name| (name, true));
            let Some((ty, at)) = member(btf, outer, name) else {
                lacking(&format!("field `{name}` in `{path}`"));
                continue;
            };
            assert_eq!(at as usize, offset * 8, "bit offset of `{name}` in `{path}`");
            if !bits {
                assert_eq!(btf.size_of(ty).unwrap() as usize, *size, "size of `{name}` in `{path}`");
            }
            compared += 1;
        }
        assert!(compared > 0 || is_older(), "`{path}`: nothing to compare");
    }

    /// Compares constants with the enumerations of the kernel.
    pub(crate) fn check_constants(constants: &[(&str, i128)]) {
        let Some(btf) = kernel() else { return };
        let wanted: HashMap<&str, i128> = constants.iter().copied().collect();
        assert_eq!(wanted.len(), constants.len(), "a name appears twice");
        let mut found = HashMap::new();
        for id in btf.ids() {
            let (Ok(Kind::Enum(values)) | Ok(Kind::Enum64(values))) = btf.kind(id) else { continue };
            for value in values.values() {
                let name = btf.string(value.name).unwrap_or_default();
                if wanted.contains_key(name) {
                    found.insert(name, i128::from(value.value));
                }
            }
        }
        assert!(!found.is_empty() || is_older(), "nothing to compare");
        for (name, value) in wanted {
            match found.get(name) {
                Some(theirs) => assert_eq!(*theirs, value, "`{name}`"),
                None => lacking(&format!("constant `{name}`")),
            }
        }
    }

    #[test]
    fn differences_are_noticed() {
        if kernel().is_none() {
            return;
        }
        let fails = |check: fn()| assert!(std::panic::catch_unwind(check).is_err());
        check("bpf_func_info", 0, &[("insn_off", 0, 4), ("type_id", 4, 4)]);
        fails(|| check("bpf_func_info", 0, &[("insn_off", 0, 4), ("type_id", 8, 4)]));
        fails(|| check("bpf_func_info", 0, &[("insn_off", 0, 8)]));
        fails(|| check("bpf_link_info.xdp", 12, &[("ifindex", 0, 4)]));
        fails(|| check_constants(&[("BPF_MAP_CREATE", 1)]));
        if !is_older() {
            fails(|| check("bpf_func_info", 0, &[("nothing", 0, 4)]));
            fails(|| check_constants(&[("BPF_NO_SUCH_COMMAND", 1)]));
        }
    }
}
