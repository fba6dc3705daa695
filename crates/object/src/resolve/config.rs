//! Settings of the kernel's build: from the text of the configuration to bytes.

use super::KernelInfo;
use crate::{ConfigForm, Extern};

/// The bytes of a setting, `None` if the kernel does not have it.
///
/// # Errors
/// A value that does not have the declared form.
pub(super) fn value(external: &Extern, form: ConfigForm, kernel: &dyn KernelInfo) -> Result<Option<Vec<u8>>, String> {
    // Three that no configuration has: the loader knows them.
    let known = match external.name.as_str() {
        "LINUX_KERNEL_VERSION" => Some(kernel.version_code().map(u64::from).ok_or("the kernel's release is unknown")?),
        "LINUX_HAS_BPF_COOKIE" => Some(kernel.has_cookie().into()),
        "LINUX_HAS_SYSCALL_WRAPPER" => Some(kernel.has_syscall_wrapper().into()),
        _ => None,
    };
    if let Some(number) = known {
        return match form {
            ConfigForm::Bool => Ok(Some(vec![u8::from(number != 0)])),
            ConfigForm::Char | ConfigForm::Int { .. } => integer(number.into(), form).map(Some),
            _ => Err("it is a number; declare it as an integer".to_owned()),
        };
    }
    let Some(text) = kernel.config(&external.name) else { return Ok(None) };
    let bytes = match (text.as_str(), form) {
        ("y" | "m" | "n", _) => tristate(&text, form)?,
        (text, ConfigForm::Text { size }) => {
            let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let text =
                inside.ok_or_else(|| format!("its value {} is no text; declare it as an integer", shown(text)))?;
            let mut bytes = text.as_bytes()[..text.len().min(size as usize - 1)].to_vec();
            bytes.resize(size as usize, 0);
            bytes
        }
        (text, _) if text.starts_with('"') => {
            return Err(format!("its value {} is a text; declare it as an array of char", shown(text)));
        }
        (text, _) => {
            let number = number(text).ok_or_else(|| format!("its value {} is no number", shown(text)))?;
            integer(number, form)?
        }
    };
    Ok(Some(bytes))
}

fn tristate(text: &str, form: ConfigForm) -> Result<Vec<u8>, String> {
    match (text, form) {
        ("m", ConfigForm::Bool) => Err("its value is `m`; declare it as `enum libbpf_tristate`".to_owned()),
        (_, ConfigForm::Bool) => Ok(vec![u8::from(text == "y")]),
        (_, ConfigForm::Tristate) => {
            let number: u32 = match text {
                "y" => 1,
                "m" => 2,
                _ => 0,
            };
            Ok(number.to_le_bytes().to_vec())
        }
        (_, ConfigForm::Char) => Ok(text.as_bytes().to_vec()),
        _ => Err(format!("its value is `{text}`; declare it as bool, char or `enum libbpf_tristate`")),
    }
}

/// A decimal, octal or hexadecimal number.
fn number(text: &str) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -i128::from(magnitude) } else { magnitude.into() })
}

fn integer(number: i128, form: ConfigForm) -> Result<Vec<u8>, String> {
    let (size, signed) = match form {
        ConfigForm::Int { size, signed } => (u32::from(size), signed),
        ConfigForm::Char => (1, number < 0),
        _ => return Err(format!("its value is {number}; declare it as an integer")),
    };
    let bits = 8 * size;
    let range = match signed {
        true => -(1i128 << (bits - 1))..1i128 << (bits - 1),
        false => 0..1i128 << bits,
    };
    if !range.contains(&number) {
        let sign = if signed { "signed" } else { "unsigned" };
        return Err(format!("its value {number} does not fit in the {size} bytes, {sign}, that it is declared with"));
    }
    Ok(number.to_le_bytes()[..size as usize].to_vec())
}

/// A value for messages, not too long.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(80);
    format!("`{}`{}", &text[..end], if end < text.len() { "..." } else { "" })
}

#[cfg(test)]
mod tests {
    use super::super::KernelData;
    use super::*;
    use crate::{ExternKind, MapIdx};

    fn bytes(text: &str, form: ConfigForm) -> Result<Option<Vec<u8>>, String> {
        let mut kernel = KernelData { version_code: Some(0x6_12_00), ..KernelData::default() };
        kernel.read_config(&format!("# CONFIG_NO is not set\nCONFIG_X={text}\nCONFIG_X=second\n"));
        let kind = ExternKind::Config { map: MapIdx(0), offset: 0, form };
        value(&Extern { name: "CONFIG_X".to_owned(), weak: false, kind }, form, &kernel)
    }

    const INT: ConfigForm = ConfigForm::Int { size: 4, signed: true };

    #[test]
    fn values_of_every_form() {
        let cases = [
            ("y", ConfigForm::Bool, vec![1]),
            ("n", ConfigForm::Bool, vec![0]),
            ("m", ConfigForm::Tristate, vec![2, 0, 0, 0]),
            ("y", ConfigForm::Tristate, vec![1, 0, 0, 0]),
            ("m", ConfigForm::Char, b"m".to_vec()),
            ("1000", INT, vec![0xe8, 3, 0, 0]),
            ("-2", INT, vec![0xfe, 0xff, 0xff, 0xff]),
            ("0xffff", ConfigForm::Int { size: 2, signed: false }, vec![0xff, 0xff]),
            ("\"abc\"", ConfigForm::Text { size: 6 }, b"abc\0\0\0".to_vec()),
            ("\"abcdef\"", ConfigForm::Text { size: 4 }, b"abc\0".to_vec()),
            ("0xdead000000000000", ConfigForm::Int { size: 8, signed: false }, vec![0, 0, 0, 0, 0, 0, 0xad, 0xde]),
        ];
        for (text, form, expected) in cases {
            assert_eq!(bytes(text, form), Ok(Some(expected)), "{text}");
        }
    }

    #[test]
    fn values_of_another_form_are_refused() {
        let cases = [
            ("m", ConfigForm::Bool, "libbpf_tristate"),
            ("y", INT, "declare it as bool"),
            ("5", ConfigForm::Bool, "declare it as an integer"),
            ("70000", ConfigForm::Int { size: 2, signed: false }, "does not fit in the 2 bytes, unsigned"),
            ("-1", ConfigForm::Int { size: 8, signed: false }, "does not fit"),
            ("\"a\"", INT, "declare it as an array of char"),
            ("5", ConfigForm::Text { size: 3 }, "is no text"),
            ("x", INT, "is no number"),
        ];
        for (text, form, expected) in cases {
            let message = bytes(text, form).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
