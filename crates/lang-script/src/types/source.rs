//! Where types come from that the script does not define itself: the kernel's type information, asked through a trait.

use std::sync::Arc;

use super::Type;
use super::user::UserFunction;

/// Which composite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompositeId {
    /// One of the kernel, by the number that the [`TypeSource`] gave it.
    Kernel(u32),
    /// One that the script defines, or the record of a tracepoint, by its place in the table of the compilation.
    Script(u32),
}

/// A structure or union.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Composite {
    /// Its name; empty if it has none.
    pub name: Arc<str>,
    /// Bytes.
    pub size: u32,
    /// Of which its address is a multiple.
    pub align: u32,
    /// Its members in order.
    pub members: Vec<Member>,
}

/// A member of a composite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name; empty for an anonymous composite, whose members count as those of the outer one.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
    /// Bytes from the start. For a bit-field those of the integer that it is in.
    pub offset: u32,
    /// For a bit-field the first bit in that integer, counted from the lowest, and the number of bits.
    pub bits: Option<(u8, u8)>,
    /// Whether it is the word of a tracepoint's record that says where the value is: offset in the lower half, length
    /// in the upper half.
    pub indirect: bool,
}

/// What kind of name is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tag {
    /// `struct name`
    Struct,
    /// `union name`
    Union,
    /// `enum name`
    Enum,
    /// The name of a typedef or of an integer type.
    Plain,
}

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
}

/// What a function takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prototype {
    /// Its parameters in order.
    pub params: Vec<Parameter>,
    /// Type of its result.
    pub result: Type,
}

/// What a read at some place of a kernel object gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A number, or an address that nobody knows more about.
    Number,
    /// A pointer to the composite with this number.
    Pointer(u32),
}

/// Type information of the kernel.
pub trait TypeSource {
    /// The type with a name.
    fn find(&self, tag: Tag, name: &str) -> Option<Type>;

    /// A composite by the number in [`CompositeId::Kernel`].
    fn composite(&self, id: u32) -> Option<Arc<Composite>>;

    /// What programs that read so many bytes at an offset of a composite without a helper get; `None` if they may not, or if
    /// that is not known.
    fn walk(&self, _id: u32, _offset: u32, _size: u32) -> Option<Step> {
        None
    }

    /// The enumerator with a name: its value and its type.
    fn enumerator(&self, name: &str) -> Option<(i64, Type)>;

    /// A function of the kernel, or of the module if that is not empty.
    fn function(&self, module: &str, name: &str) -> Option<Prototype>;

    /// The arguments that the kernel passes to a raw tracepoint.
    fn raw_tracepoint(&self, event: &str) -> Option<Prototype>;

    /// The record of a tracepoint. Offsets count from the start of the context.
    fn tracepoint(&self, category: &str, event: &str) -> Option<Composite>;

    /// A function of a program or library by its symbol; `None` is the binary of the process of `-p`.
    ///
    /// # Errors
    /// Why its arguments are not known and what would help.
    fn user_function(&self, _binary: Option<&str>, _function: &str) -> Result<Arc<UserFunction>, String> {
        Err("types of programs are not read here".to_owned())
    }

    /// The type with a name in a program or library that is traced.
    fn find_traced(&self, _tag: Tag, _name: &str) -> Option<Type> {
        None
    }

    /// The script traces a program or library: its types are known by their names from now on.
    fn traced(&self, _binary: Option<&str>) {}
}

/// No types at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTypes;

impl TypeSource for NoTypes {
    fn find(&self, _: Tag, _: &str) -> Option<Type> {
        None
    }
    fn composite(&self, _: u32) -> Option<Arc<Composite>> {
        None
    }
    fn enumerator(&self, _: &str) -> Option<(i64, Type)> {
        None
    }
    fn function(&self, _: &str, _: &str) -> Option<Prototype> {
        None
    }
    fn raw_tracepoint(&self, _: &str) -> Option<Prototype> {
        None
    }
    fn tracepoint(&self, _: &str, _: &str) -> Option<Composite> {
        None
    }
}
