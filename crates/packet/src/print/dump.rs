//! Hexadecimal and ASCII dumps in tcpdump's layout (`-x`, `-X`, `-A`).

use super::num;

/// Appends lines of sixteen bytes as hexadecimal groups: each begins with a line end and a tab.
pub fn hex(out: &mut Vec<u8>, data: &[u8]) {
    hex_indented(out, "\n\t", data);
}

/// The same with another beginning of each line.
pub fn hex_indented(out: &mut Vec<u8>, before: &str, data: &[u8]) {
    for (row, bytes) in data.chunks(16).enumerate() {
        row_head(out, before, row);
        groups(out, bytes);
    }
}

/// Appends lines of sixteen bytes as hexadecimal groups and characters; unprintable ones are dots.
pub fn hex_ascii(out: &mut Vec<u8>, data: &[u8]) {
    // Eight groups of five characters.
    const WIDTH: usize = 40;
    for (row, bytes) in data.chunks(16).enumerate() {
        row_head(out, "\n\t", row);
        let before = out.len();
        groups(out, bytes);
        out.resize(before + WIDTH + 2, b' ');
        out.extend(bytes.iter().map(|&byte| if byte.is_ascii_graphic() { byte } else { b'.' }));
    }
}

fn row_head(out: &mut Vec<u8>, before: &str, row: usize) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(b"0x");
    num::hex_padded(out, (row * 16) as u64, 4);
    out.extend_from_slice(b": ");
}

fn groups(out: &mut Vec<u8>, bytes: &[u8]) {
    for pair in bytes.chunks(2) {
        out.push(b' ');
        num::hex_bytes(out, pair);
    }
}

/// Appends the bytes as characters: graphic ones, blanks, tabs and line ends as they are, a carriage return before a
/// line end not at all, all others as dots.
pub fn ascii(out: &mut Vec<u8>, data: &[u8]) {
    out.push(b'\n');
    for (at, &byte) in data.iter().enumerate() {
        match byte {
            b'\r' if matches!(data.get(at + 1), Some(b'\n') | None) => {}
            b'\t' | b' ' | b'\n' => out.push(byte),
            _ => out.push(if byte.is_ascii_graphic() { byte } else { b'.' }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: fn(&mut Vec<u8>, &[u8]), data: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, data);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn layouts() {
        assert_eq!(
            text(hex, b"0123456789abcdef\x01"),
            "\n\t0x0000:  3031 3233 3435 3637 3839 6162 6364 6566\n\t0x0010:  01"
        );
        let padding = " ".repeat(32);
        assert_eq!(text(hex_ascii, b"ab \x1b"), format!("\n\t0x0000:  6162 201b{padding}ab.."));
        assert_eq!(text(ascii, b"GET\r\n\tx\ry\x1b\r"), "\nGET\n\tx.y.");
    }
}
