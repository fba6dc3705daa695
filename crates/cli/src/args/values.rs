//! Values of options: their forms and what is expected.

use clap::ValueEnum;
use skep_lang_filter::Compat;
use skep_packet::LinkType;
use skep_packet::ring::Directions;

/// Whose meaning of an expression applies, by the release of libpcap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CompatArg {
    /// libpcap 1.10 (tcpdump 4.99)
    #[value(name = "1.10")]
    V1_10,
    /// libpcap 1.11 (tcpdump 5.0)
    #[default]
    #[value(name = "1.11")]
    V1_11,
}

impl From<CompatArg> for Compat {
    fn from(arg: CompatArg) -> Self {
        match arg {
            CompatArg::V1_10 => Self::V1_10,
            CompatArg::V1_11 => Self::V1_11,
        }
    }
}

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DirectionArg {
    /// Received packets
    In,
    /// Sent packets
    Out,
    /// Both
    #[default]
    Inout,
}

impl From<DirectionArg> for Directions {
    fn from(arg: DirectionArg) -> Self {
        match arg {
            DirectionArg::In => Self::In,
            DirectionArg::Out => Self::Out,
            DirectionArg::Inout => Self::Both,
        }
    }
}

/// Digits of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Six digits
    Micro,
    /// Nine digits
    Nano,
}

/// Bytes that were given in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

/// Bytes in hexadecimal: two digits each, white space between them and `0x` in front of a word do not count.
pub fn hex_bytes(text: &str) -> Result<HexBytes, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut half = None;
    for word in text.split_ascii_whitespace() {
        let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        for character in digits.chars() {
            let Some(digit) = character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()) else {
                return Err(format!("`{}` is not a hexadecimal digit", character.escape_default()));
            };
            match half.take() {
                None => half = Some(digit),
                Some(high) => bytes.push(high << 4 | digit),
            }
        }
    }
    match half {
        None => Ok(HexBytes(bytes)),
        Some(_) => Err("the number of digits is odd; every byte needs two".to_owned()),
    }
}

/// A link type by name or number.
pub fn link_type(text: &str) -> Result<LinkType, String> {
    LinkType::from_name(text).or_else(|| text.parse().ok().map(LinkType)).ok_or_else(|| {
        "expected the name of a link type such as EN10MB, RAW, LINUX_SLL2 or NULL, or its number; `-L` lists those of \
         an interface"
            .to_owned()
    })
}

/// A size for `-C`.
pub fn file_size(text: &str) -> Result<u64, String> {
    skep_packet::write::parse_size(text)
}
