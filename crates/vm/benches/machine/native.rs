//! The processor itself: the same sources compiled to machine code, called through a function pointer.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt as _;

use crate::compile::Built;
use crate::engine::{Engine, Loaded, Outcome, Refusal, Runner, failed, repeated};

/// Native code by clang -O2.
#[derive(Debug, Clone, Copy)]
pub struct Native;

impl Engine for Native {
    fn name(&self) -> &'static str {
        "native -O2"
    }

    fn available(&self) -> Result<(), String> {
        Ok(())
    }

    fn load(&self, built: &Built) -> Result<Loaded, Refusal> {
        let library = Library::open(built).map_err(failed)?;
        let program = library.symbol(c"program").map_err(failed)?;
        // SAFETY: bench.h defines `program` with this signature, and FLAT's context is two 64-bit addresses.
        let program = unsafe { std::mem::transmute::<*mut c_void, Entry>(program) };
        for (key, value) in (built.program.maps)().iter().flat_map(|map| &map.contents) {
            let (Ok(key), Ok(value)) = (<[u8; 4]>::try_from(&key[..]), <[u8; 8]>::try_from(&value[..])) else {
                return Err(failed("maps of native programs have keys of 4 and values of 8 bytes"));
            };
            let fill = library.symbol(c"fill").map_err(failed)?;
            // SAFETY: bench.h defines `fill` with this signature beside every map; it reads the two numbers.
            unsafe {
                std::mem::transmute::<*mut c_void, Fill>(fill)(&u32::from_ne_bytes(key), &u64::from_ne_bytes(value))
            };
        }
        let runner = NativeRunner { program, input: built.input.clone(), _library: library };
        Ok(Loaded { runner: Box::new(runner), compile: None })
    }
}

type Entry = unsafe extern "C" fn(*const [u64; 2]) -> u32;
type Fill = unsafe extern "C" fn(*const u32, *const u64);

struct NativeRunner {
    program: Entry,
    input: Vec<u8>,
    /// The code of `program`.
    _library: Library,
}

impl Runner for NativeRunner {
    fn run(&mut self, repeat: u32) -> Result<Outcome, String> {
        let range = self.input.as_ptr_range();
        let context = [range.start as u64, range.end as u64];
        repeated(repeat, || {
            // SAFETY: the library is open; the program reads the context and what lies between its two addresses,
            // the input, and writes nothing but its own variables.
            Ok(unsafe { (self.program)(&raw const context) }.into())
        })
    }
}

/// An open shared object.
struct Library(*mut c_void);

impl Library {
    fn open(built: &Built) -> Result<Self, String> {
        let path = CString::new(built.native.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: the path ends with a NUL. The object was made from our sources, which have no constructors.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() { Err(reason()) } else { Ok(Self(handle)) }
    }

    fn symbol(&self, name: &CStr) -> Result<*mut c_void, String> {
        // SAFETY: the handle is open and the name ends with a NUL.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if address.is_null() { Err(reason()) } else { Ok(address) }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and whoever holds the address of a function holds this value too.
        unsafe { libc::dlclose(self.0) };
    }
}

/// What the dynamic linker says about its last failure.
fn reason() -> String {
    // SAFETY: the result is null or a text that lives until the next call of the linker in this thread.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "the dynamic linker failed without a reason".to_owned();
    }
    // SAFETY: not null, and nothing called the linker since.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}
