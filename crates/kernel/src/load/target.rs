//! Programs that belong to a function, tracepoint, hook or iterator of the kernel: its number among the kernel's types.

use skep_btf::{Btf, Kind};
use skep_isa::{AttachType, ProgType};
use skep_object::{AttachPoint, KernelInfo, Program};

use crate::errors::KernelError;
use crate::loaded_btf::LoadedBtf;
use crate::prog::LoadedProgram;

const ACTION: &str = "load a program";

/// What a program belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    /// The number of its type, 0 if it belongs to nothing.
    pub(crate) id: u32,
    /// The module whose types count, `None` for the kernel's or those of a program.
    pub(crate) module: Option<String>,
}

/// How targets of one kind are named among the kernel's types: in front of the name, whether it is a function or else a
/// name for a type, the module, and what is missing if it is missing.
struct Wanted<'a> {
    prefix: &'static str,
    name: &'a str,
    function: bool,
    module: Option<&'a str>,
    noun: &'static str,
}

/// The target of a program that attaches to `point`.
///
/// # Errors
/// [`KernelError::Invalid`] if the kernel has nothing of this name or the program needs a place and has none,
/// [`KernelError::NoKernelTypes`].
pub(crate) fn find(program: &Program, point: &AttachPoint, kernel: &dyn KernelInfo) -> Result<Target, KernelError> {
    let Some(wanted) = wanted(program, point)? else { return Ok(Target::default()) };
    let full = format!("{}{}", wanted.prefix, wanted.name);
    let look = |btf: &Btf| match wanted.function {
        true => btf.find_function(&full),
        false => btf.find_type(&full, |kind| matches!(kind, Kind::Typedef(_))),
    };
    if wanted.module.is_none_or(|module| module == "vmlinux") {
        let btf = kernel.btf().ok_or_else(|| KernelError::NoKernelTypes { name: "vmlinux".to_owned() })?;
        if let Some(id) = look(&btf) {
            return Ok(Target { id: id.0, module: None });
        }
    }
    for module in kernel.modules() {
        if wanted.module.is_some_and(|name| name != module.name) {
            continue;
        }
        // Names of the kernel are found in modules too: only numbers behind the kernel's are the module's own.
        let first = module.btf.base().map_or(1, |base| base.next_id().0);
        if let Some(id) = look(&module.btf).filter(|id| id.0 >= first) {
            return Ok(Target { id: id.0, module: Some(module.name) });
        }
    }
    if let Some(module) = wanted.module.filter(|module| !kernel.modules().iter().any(|one| one.name == *module)) {
        return Err(KernelError::NoKernelTypes { name: module.to_owned() });
    }
    let (noun, name) = (wanted.noun, wanted.name);
    Err(KernelError::Invalid {
        action: ACTION,
        problem: format!(
            "neither the kernel nor its modules describe {noun} `{name}`; it may be misspelt, inlined, of another \
             release, or in a module that is not loaded"
        ),
    })
}

/// What has to be found for a program; `None` if it belongs to nothing.
fn wanted<'a>(program: &Program, point: &'a AttachPoint) -> Result<Option<Wanted<'a>>, KernelError> {
    let typed = match program.prog_type {
        ProgType::Tracing | ProgType::Lsm => true,
        ProgType::Ext => {
            let problem =
                "it replaces a function of another program; give that program (`LoadOptions::targets`)".to_owned();
            return Err(KernelError::Invalid { action: ACTION, problem });
        }
        _ => return Ok(None),
    };
    let of = |prefix, name: &'a str, function, noun| Ok(Some(Wanted { prefix, name, function, module: None, noun }));
    match point {
        AttachPoint::TypedFunction { module, name } => {
            Ok(Some(Wanted { prefix: "", name, function: true, module: module.as_deref(), noun: "a function" }))
        }
        AttachPoint::RawTracepoint(name) => of("btf_trace_", name, false, "a tracepoint"),
        AttachPoint::LsmHook(name) => of("bpf_lsm_", name, true, "a security hook"),
        AttachPoint::Iterator(name) => of("bpf_iter_", name, true, "an iterator"),
        _ if typed => {
            let form = match program.attach_type {
                Some(AttachType::TraceRawTp) => "tp_btf/TRACEPOINT",
                Some(AttachType::TraceFexit) => "fexit/FUNCTION",
                Some(AttachType::ModifyReturn) => "fmod_ret/FUNCTION",
                Some(AttachType::TraceIter) => "iter/TARGET",
                Some(AttachType::LsmMac) => "lsm/HOOK",
                Some(AttachType::LsmCgroup) => "lsm_cgroup/HOOK",
                _ => "fentry/FUNCTION",
            };
            let problem = format!("it is made for one place and does not say which; expected a section `{form}`");
            Err(KernelError::Invalid { action: ACTION, problem })
        }
        _ => Ok(None),
    }
}

/// The number of a function among the types of a program that is loaded.
///
/// # Errors
/// [`KernelError::Invalid`] if the program has no types or no such function.
pub(crate) fn in_program(target: &LoadedProgram, function: &str) -> Result<u32, KernelError> {
    let invalid = |problem: String| KernelError::Invalid { action: ACTION, problem };
    let info = target.info()?;
    if info.btf_id == 0 {
        return Err(invalid(format!("program `{}` was loaded without types (BTF): it has no names", info.name)));
    }
    let btf = Btf::parse(LoadedBtf::by_id(info.btf_id)?.bytes()?).map_err(|error| invalid(error.to_string()))?;
    let found = btf.find_function(function);
    found.map(|id| id.0).ok_or_else(|| invalid(format!("program `{}` has no function `{function}`", info.name)))
}
