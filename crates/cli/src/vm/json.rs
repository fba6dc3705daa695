//! JSON and hexadecimal, as the commands of `skep vm` print them.

use std::fmt::Write as _;

/// A JSON object that is being written.
#[derive(Debug)]
pub struct Json {
    text: String,
}

impl Json {
    /// An object.
    pub fn object() -> Self {
        Self { text: "{".to_owned() }
    }

    /// A member with a value that is JSON already.
    pub fn raw(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        let _ = write!(self.text, "{}:{value}", quoted(name));
        self
    }

    /// A member with a text.
    pub fn text(self, name: &str, value: &str) -> Self {
        self.raw(name, quoted(value))
    }

    /// A member with bytes in hexadecimal.
    pub fn hex(self, name: &str, bytes: &[u8]) -> Self {
        self.raw(name, quoted(&hex(bytes)))
    }

    /// The complete text.
    pub fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// An array of values that are JSON already.
pub fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control.is_control() && u32::from(control) < 0x10000 => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Two digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive() {
        let text = "a \"b\"\\\n\u{1}\u{85} é";
        let json = Json::object().text("key", text).hex("bytes", &[0, 255]).raw("list", list(["1".to_owned()])).end();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["key"], text);
        assert_eq!(value["bytes"], "00ff");
        assert_eq!(value["list"][0], 1);
    }
}
