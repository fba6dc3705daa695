//! Programs that refer to more than the kernel proper: functions of modules, functions of other programs.

use skep_kernel::attach::{AttachOptions, attach_all};
use skep_kernel::{KernelError, LoadError, LoadOptions, load, load_with};

use super::objects::{object, of_source, read_variable};
use crate::common::can_load;

#[test]
fn functions_of_modules_are_called() {
    if !can_load() {
        return;
    }
    let Some(object) = object("module") else { return };
    let in_vm = std::env::var("SKEP_VM_KERNEL").is_ok();
    let loaded = match load(&object) {
        Ok(loaded) => loaded,
        Err(LoadError::Object(error)) if !in_vm => {
            // The machine has no such module; that is said.
            assert!(error.to_string().contains("neither the kernel nor its modules describe a function"), "{error}");
            println!("SKIPPED: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(loaded.programs[0].test_run(&[0; 64], 1).unwrap().result, 5);
    // No connection has these addresses: -ENOENT, which only the module can have said.
    let error = i32::from_ne_bytes(read_variable(&object, &loaded, "error").try_into().unwrap());
    assert_eq!(error, -libc::ENOENT);
}

/// A function that others see is checked for any argument, null among them; one that is hidden for those that it gets.
#[test]
fn hidden_functions_are_checked_where_they_are_called() {
    if !can_load() {
        return;
    }
    let source = |attributes: &str| {
        format!(
            "{attributes} __noinline int put(u64 *place) {{ *place = 5; return 0; }}\n\
             SEC(\"tc\") int f(void *ctx) {{ u64 value = 0; put(&value); return value; }}\n"
        )
    };
    let Some(hidden) = of_source(&source("__weak __hidden")) else { return };
    let loaded = load(&hidden).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.programs[0].test_run(&[0; 64], 1).unwrap().result, 5);
    let Some(seen) = of_source(&source("__weak")) else { return };
    let error = load(&seen).unwrap_err().to_string();
    assert!(error.contains("invalid mem access 'mem_or_null'"), "{error}");
}

#[test]
pub fn functions_of_programs_are_replaced() {
    if !can_load() {
        return;
    }
    let (Some(target), Some(replacement)) = (object("replaced"), object("replacement")) else { return };
    let target = load(&target).unwrap_or_else(|error| panic!("{error}"));
    let ask = || target.programs[0].test_run(&[0; 64], 1).unwrap().result;
    assert_eq!(ask(), 41);
    let targets = [("better", &target.programs[0])];
    let options = LoadOptions { targets: &targets, ..LoadOptions::default() };
    let loaded = match load_with(&replacement, &options) {
        Ok(loaded) => loaded,
        Err(LoadError::Program { error: error @ KernelError::NotPermitted { .. }, .. })
            if std::env::var("SKEP_VM_KERNEL").is_err() =>
        {
            return println!("not on this kernel: {error}");
        }
        Err(error) => panic!("{error}"),
    };
    let attached = attach_all(&loaded, &replacement, &AttachOptions::default());
    let attached = attached.unwrap_or_else(|(name, error)| panic!("{name}: {error}"));
    assert_eq!(ask(), 42);
    drop(attached);
    assert_eq!(ask(), 41);
    // Without a target it is said that there has to be one.
    let error = load(&replacement).unwrap_err().to_string();
    assert!(error.starts_with("program `better`: ") && error.contains("another program"), "{error}");
}
