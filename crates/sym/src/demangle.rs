//! Names of C++ and Rust as people read them.

/// Most letters of a symbol that is looked at, and of what comes out of it: templates can grow without bound.
const LONGEST: usize = 16 << 10;

/// The readable name of a symbol of C++ (`ns::f(int)`) or Rust (`krate::module::f`, without the hash); `None` if the
/// symbol is not one of these.
pub fn demangle(symbol: &str) -> Option<String> {
    if symbol.len() > LONGEST {
        return None;
    }
    // Rust comes first: its older names have the form of those of C++.
    if let Ok(name) = rustc_demangle::try_demangle(symbol) {
        return bounded(format!("{name:#}"));
    }
    if !symbol.starts_with("_Z") && !symbol.starts_with("__Z") {
        return None;
    }
    let options = cpp_demangle::ParseOptions::default().recursion_limit(96);
    // Versions, and marks of clones such as `.cold`, stay behind the name.
    let end = symbol.find(['.', '@']).unwrap_or(symbol.len());
    let parsed = cpp_demangle::Symbol::new_with_options(&symbol.as_bytes()[..end], &options).ok()?;
    // Parts that refer to parts can double with every letter.
    let mut name = Bounded(String::new());
    parsed.structured_demangle(&mut name, &cpp_demangle::DemangleOptions::default()).ok()?;
    let name = name.0;
    let marks = &symbol[end..];
    bounded(if marks.is_empty() { name } else { format!("{name} [{marks}]") })
}

/// Takes so many letters and no more.
struct Bounded(String);

impl cpp_demangle::DemangleWrite for Bounded {
    fn write_string(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > LONGEST {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

fn bounded(name: String) -> Option<String> {
    (name.len() <= LONGEST).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_languages() {
        for (symbol, name) in [
            ("_ZN2ns1fEi", "ns::f(int)"),
            ("_ZNKSt6vectorIiSaIiEE4sizeEv", "std::vector<int, std::allocator<int> >::size() const"),
            ("_ZN2ns1fEi.cold", "ns::f(int) [.cold]"),
            ("_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE", "core::fmt::Formatter::write_str"),
            ("_RNvCskwGfYPst2Cb_3foo3bar", "foo::bar"),
        ] {
            assert_eq!(demangle(symbol).as_deref(), Some(name), "{symbol}");
        }
        for plain in ["main", "_Zzz", "", "_Z", "é", "_ZN"] {
            assert_eq!(demangle(plain), None, "{plain}");
        }
    }
}
