//! Tokens, as the preprocessor passes them to the parser. TABLE: keywords and punctuators with their spellings.

use std::rc::Rc;

use crate::source::{Loc, Sym};

/// One token with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is written, and through which macros it came.
    pub loc: Loc,
    /// What is in front of it, and whether it may still be expanded.
    pub flags: TokenFlags,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenKind {
    /// An identifier that is no keyword.
    Ident(Sym),
    /// A keyword. Only the preprocessor's result has them: within it, keywords are identifiers.
    Keyword(Keyword),
    /// A number as it is spelled: whether it is a valid constant is the parser's question.
    Number(Sym),
    /// A character constant.
    Char {
        /// Its value as its type has it: plain characters are signed.
        value: i64,
        /// Its prefix.
        ty: CharTy,
    },
    /// A string literal; adjacent ones are one. Without the terminating zero.
    Str {
        /// The characters: of one byte, or of two or four bytes in little-endian order as `ty` says.
        bytes: Rc<[u8]>,
        /// Its prefix.
        ty: CharTy,
    },
    /// An operator or another mark.
    Punct(Punct),
    /// A pragma that means something to the parser.
    Pragma(Pragma),
    /// A character that begins no token, such as `\` or `` ` ``.
    Stray(char),
    /// The end of the translation unit. It is always the last token.
    Eof,
}

/// The prefix of a character constant or a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CharTy {
    /// No prefix: `char`.
    #[default]
    Plain,
    /// `u8`: `char`.
    Utf8,
    /// `u`: `char16_t`, which is `unsigned short`.
    Utf16,
    /// `U`: `char32_t`, which is `unsigned int`.
    Utf32,
    /// `L`: `wchar_t`, which is `int`.
    Wide,
}

impl CharTy {
    /// Bytes of one character.
    pub const fn size(self) -> usize {
        match self {
            Self::Plain | Self::Utf8 => 1,
            Self::Utf16 => 2,
            Self::Utf32 | Self::Wide => 4,
        }
    }

    /// As it is written.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Utf8 => "u8",
            Self::Utf16 => "u",
            Self::Utf32 => "U",
            Self::Wide => "L",
        }
    }
}

/// A pragma that the parser acts on. The preprocessor handles or ignores the others.
#[derive(Debug, Clone, PartialEq)]
pub enum Pragma {
    /// `#pragma unroll`, `#pragma unroll N`, `#pragma clang loop unroll(full)`, `unroll_count(N)`: of the loop that follows.
    Unroll(Option<u32>),
    /// `#pragma nounroll`, `#pragma clang loop unroll(disable)`.
    NoUnroll,
    /// `#pragma pack(...)`.
    Pack(PackPragma),
    /// `#pragma clang attribute push (__attribute__((LIST)), apply_to = ...)`: the tokens of LIST.
    AttributePush(Rc<[Token]>),
    /// `#pragma clang attribute pop`.
    AttributePop,
    /// From here on, unknown names are looked for in the [`TypeSource`](crate::provider::TypeSource): an embedded header
    /// was included that stands for the kernel's types.
    KernelTypes {
        /// True if accesses to these types are relocated to the running kernel, as those of `vmlinux.h` are.
        relocatable: bool,
    },
    /// Here the helpers are declared that the program names. The preprocessor puts the declarations in its place.
    Helpers,
}

/// The forms of `#pragma pack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackPragma {
    /// `pack()` and `pack(N)`: from now on; nothing is the default.
    Set(Option<u32>),
    /// `pack(push)` and `pack(push, N)`.
    Push(Option<u32>),
    /// `pack(pop)`.
    Pop,
}

/// What the preprocessor has to know of a token besides its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TokenFlags(u8);

impl TokenFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// White space or a comment is in front.
    pub const SPACE: Self = Self(1);
    /// It is the first of its line.
    pub const LINE_START: Self = Self(2);
    /// The name of a macro that was met within its own expansion: it is never expanded again.
    pub const NO_EXPAND: Self = Self(4);

    /// True if all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// These and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// These without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Declares an enumeration with its spellings. The first spelling of a row is the usual one.
macro_rules! spelled {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $first:literal $(| $other:literal)*;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the table says how each is written")]
        pub enum $name { $($variant),* }

        impl $name {
            /// All of them with every spelling.
            pub const ALL: &[(Self, &str)] = &[$((Self::$variant, $first), $((Self::$variant, $other),)*)*];

            /// The usual spelling.
            pub const fn spelling(self) -> &'static str {
                match self { $(Self::$variant => $first),* }
            }
        }
    };
}

spelled! {
    /// The keywords of C11 and of the extensions.
    Keyword {
        Auto = "auto";
        Break = "break";
        Case = "case";
        Char = "char";
        Const = "const" | "__const" | "__const__";
        Continue = "continue";
        Default = "default";
        Do = "do";
        Double = "double";
        Else = "else";
        Enum = "enum";
        Extern = "extern";
        Float = "float";
        For = "for";
        Goto = "goto";
        If = "if";
        Inline = "inline" | "__inline" | "__inline__";
        Int = "int";
        Long = "long";
        Register = "register";
        Restrict = "restrict" | "__restrict" | "__restrict__";
        Return = "return";
        Short = "short";
        Signed = "signed" | "__signed" | "__signed__";
        Sizeof = "sizeof";
        Static = "static";
        Struct = "struct";
        Switch = "switch";
        Typedef = "typedef";
        Union = "union";
        Unsigned = "unsigned";
        Void = "void";
        Volatile = "volatile" | "__volatile" | "__volatile__";
        While = "while";
        Alignas = "_Alignas";
        Alignof = "_Alignof" | "__alignof" | "__alignof__";
        Atomic = "_Atomic";
        Bool = "_Bool";
        Complex = "_Complex" | "__complex__";
        Generic = "_Generic";
        Noreturn = "_Noreturn";
        StaticAssert = "_Static_assert";
        ThreadLocal = "_Thread_local" | "__thread";
        Asm = "asm" | "__asm" | "__asm__";
        Attribute = "__attribute__" | "__attribute";
        AutoType = "__auto_type";
        Extension = "__extension__";
        Int128 = "__int128" | "__int128_t";
        Uint128 = "__uint128_t";
        Label = "__label__";
        Typeof = "typeof" | "__typeof" | "__typeof__";
        TypeofUnqual = "__typeof_unqual__" | "typeof_unqual";
        Func = "__func__" | "__FUNCTION__" | "__PRETTY_FUNCTION__";
        Float16 = "_Float16";
        Float128 = "__float128" | "_Float128";
        VaArg = "__builtin_va_arg";
        Offsetof = "__builtin_offsetof";
        TypesCompatible = "__builtin_types_compatible_p";
        ChooseExpr = "__builtin_choose_expr";
    }
}

spelled! {
    /// Operators and other marks.
    Punct {
        LParen = "(";
        RParen = ")";
        LBracket = "[" | "<:";
        RBracket = "]" | ":>";
        LBrace = "{" | "<%";
        RBrace = "}" | "%>";
        Dot = ".";
        Ellipsis = "...";
        Arrow = "->";
        PlusPlus = "++";
        MinusMinus = "--";
        Amp = "&";
        Star = "*";
        Plus = "+";
        Minus = "-";
        Tilde = "~";
        Bang = "!";
        Slash = "/";
        Percent = "%";
        Shl = "<<";
        Shr = ">>";
        Lt = "<";
        Gt = ">";
        Le = "<=";
        Ge = ">=";
        EqEq = "==";
        Ne = "!=";
        Caret = "^";
        Pipe = "|";
        AndAnd = "&&";
        OrOr = "||";
        Question = "?";
        Colon = ":";
        Semi = ";";
        Assign = "=";
        StarAssign = "*=";
        SlashAssign = "/=";
        PercentAssign = "%=";
        PlusAssign = "+=";
        MinusAssign = "-=";
        ShlAssign = "<<=";
        ShrAssign = ">>=";
        AmpAssign = "&=";
        CaretAssign = "^=";
        PipeAssign = "|=";
        Comma = ",";
        Hash = "#" | "%:";
        HashHash = "##" | "%:%:";
    }
}
