//! `skep map`: the entries of a map. Types, texts and bytes are the business of `skep_kernel::inventory`.

use skep_isa::MapType;
use skep_kernel::inventory::{KernelTypes, MapRow, MapTypesOf, find_map};
use skep_kernel::{CpuValues, LoadedMap, MapInfo, Update};

use crate::args::MapCommand;
use crate::failure::Failure;
use crate::maps::{self, programs};
use crate::observe::{bytes, failure, holders, survey};
use crate::text::{TextOut, print};
use crate::vm::json::{Json, list};

/// Does what was asked for.
pub fn run(command: &MapCommand) -> Result<(), Failure> {
    match command {
        MapCommand::Dump { map, json } => dump(&Opened::new(map)?, *json),
        MapCommand::Get { map, key, json } => get(&Opened::new(map)?, key.as_deref(), *json),
        MapCommand::Set { map, entry, create, replace, cpu } => {
            let update = match (create, replace) {
                (true, _) => Update::Create,
                (_, true) => Update::Replace,
                _ => Update::Any,
            };
            set(&Opened::new(map)?, entry, update, *cpu)
        }
        MapCommand::Delete { map, key } => delete(&Opened::new(map)?, key),
        MapCommand::Info { map, json } => info(&Opened::new(map)?, *json),
    }
}

/// A map with its types.
struct Opened {
    map: LoadedMap,
    info: MapInfo,
    types: MapTypesOf,
}

/// A value as the map keeps it.
enum Stored {
    One(Vec<u8>),
    PerCpu(CpuValues),
}

impl Opened {
    fn new(text: &str) -> Result<Self, Failure> {
        let map = find_map(text).map_err(failure)?;
        let info = map.info().map_err(failure)?;
        let types = MapTypesOf::new(&info, &KernelTypes::new());
        Ok(Self { map, info, types })
    }

    fn is_per_cpu(&self) -> bool {
        self.map.value_size() != self.info.value_size as usize
            || matches!(
                self.info.map_type,
                Some(
                    MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash | MapType::PercpuCgroupStorage
                )
            )
    }

    fn key(&self, text: &str) -> Result<Vec<u8>, Failure> {
        self.types.key_from(text).map_err(|error| Failure::Usage(error.to_string()))
    }

    /// A value out of the bytes of an entry.
    fn of_bytes(&self, bytes: Vec<u8>) -> Result<Stored, Failure> {
        Ok(match self.is_per_cpu() {
            true => Stored::PerCpu(self.map.per_cpu(bytes).map_err(failure)?),
            false => Stored::One(bytes),
        })
    }

    /// The value for a key.
    fn stored(&self, key: &[u8]) -> Result<Option<Stored>, Failure> {
        Ok(if self.is_per_cpu() {
            self.map.get_per_cpu(key).map_err(failure)?.map(Stored::PerCpu)
        } else {
            self.map.get(key).map_err(failure)?.map(Stored::One)
        })
    }

    /// An entry as text.
    fn entry_text(&self, key: &[u8], value: &Stored) -> String {
        let key = match self.types.key(key) {
            _ if key.is_empty() || self.types.is_section() => String::new(),
            Some(value) => format!("{value}: "),
            None => format!("{}: ", plain(key)),
        };
        match value {
            Stored::One(bytes) => format!("{key}{}\n", self.value_text(bytes)),
            Stored::PerCpu(values) => {
                let sum = values.sum().filter(|_| self.types.is_number());
                let sum = sum.map(|sum| format!("sum {sum}")).unwrap_or_default();
                let mut text = format!("{}\n", format!("{key}{sum}").trim_end());
                for (cpu, bytes) in values.iter().enumerate() {
                    text.push_str(&format!("  cpu {cpu}: {}\n", self.value_text(bytes)));
                }
                text
            }
        }
    }

    fn value_text(&self, bytes: &[u8]) -> String {
        self.types.value(bytes).map_or_else(|| plain(bytes), |value| value.to_string())
    }

    /// An entry as `bpftool -j map` prints it.
    fn entry_json(&self, key: &[u8], value: &Stored) -> String {
        let object = Json::object().raw("key", octets(key));
        let formatted = self.types.is_typed().then(|| self.formatted(key, value)).flatten();
        let object = match value {
            Stored::One(bytes) => object.raw("value", octets(bytes)),
            Stored::PerCpu(values) => {
                let one = |(cpu, bytes)| Json::object().raw("cpu", cpu).raw("value", octets(bytes)).end();
                object.raw("values", list(values.iter().enumerate().map(one)))
            }
        };
        match formatted {
            Some(formatted) => object.raw("formatted", formatted).end(),
            None => object.end(),
        }
    }

    /// The same by types.
    fn formatted(&self, key: &[u8], value: &Stored) -> Option<String> {
        let mut object = Json::object();
        if let Some(key) = self.types.key(key) {
            object = object.raw("key", key);
        }
        Some(match value {
            Stored::One(bytes) => object.raw("value", self.section(bytes)?).end(),
            Stored::PerCpu(values) => {
                let one = |(cpu, bytes): (usize, &[u8])| {
                    Some(Json::object().raw("cpu", cpu).raw("value", self.types.value(bytes)?).end())
                };
                let values: Option<Vec<String>> = values.iter().enumerate().map(one).collect();
                object.raw("values", list(values?)).end()
            }
        })
    }

    /// A value; sections as bpftool has them, a list of objects with one variable each.
    fn section(&self, bytes: &[u8]) -> Option<String> {
        let value = self.types.value(bytes)?;
        Some(match (value, self.types.section_name()) {
            (skep_btf::Value::Struct(variables), Some(section)) => {
                let one = |(name, value): &(&str, skep_btf::Value<'_>)| Json::object().raw(name, value).end();
                Json::object().raw(section, list(variables.iter().map(one))).end()
            }
            (value, _) => value.to_string(),
        })
    }
}

/// `["0x01","0x02"]`
fn octets(bytes: &[u8]) -> String {
    list(bytes.iter().map(|byte| format!("\"0x{byte:02x}\"")))
}

/// Bytes in hexadecimal, and as a number if they can be one.
fn plain(bytes: &[u8]) -> String {
    let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let number = match *bytes {
        [_] => bytes.first().copied().map(u64::from),
        [a, b] => Some(u16::from_ne_bytes([a, b]).into()),
        [a, b, c, d] => Some(u32::from_ne_bytes([a, b, c, d]).into()),
        _ => bytes.try_into().ok().map(u64::from_ne_bytes),
    };
    number.map_or_else(|| text.clone(), |number| format!("{text} ({number})"))
}

/// Says what to do with maps that cannot be listed.
fn listable(opened: &Opened) -> Result<(), Failure> {
    let advice = match opened.info.map_type {
        Some(MapType::Queue | MapType::Stack) => "`skep map get` shows what comes next",
        Some(MapType::Ringbuf | MapType::UserRingbuf | MapType::PerfEventArray) => {
            "its records go to the process that reads them"
        }
        Some(MapType::BloomFilter) => "it only knows whether it has seen a value",
        Some(MapType::Arena) => "it is memory that programs and processes share",
        _ if opened.info.key_size > 0 => return Ok(()),
        _ => "it has no keys",
    };
    let kind = opened.info.map_type.map(|kind| kind.name()).unwrap_or_default();
    Err(Failure::Usage(format!("maps of type {kind} have no entries to list: {advice}")))
}

fn dump(opened: &Opened, json: bool) -> Result<(), Failure> {
    if opened.info.map_type != Some(MapType::PerfEventArray) || !json {
        listable(opened)?;
    }
    let mut out = TextOut::stdout(false)?;
    let mut first = true;
    out.buffer.extend_from_slice(if json { b"[" } else { b"" });
    let mut put = |text: &str| {
        if json && !std::mem::take(&mut first) {
            out.buffer.push(b',');
        }
        out.buffer.extend_from_slice(text.as_bytes());
        out.line_done()
    };
    let shown = |key: &[u8], value: &Stored| match json {
        true => opened.entry_json(key, value),
        false => opened.entry_text(key, value),
    };
    let mut entries = opened.map.entries().peekable();
    // Where values cannot be read, the reason stands behind each key.
    if let Some(Err(_)) = entries.peek() {
        for key in opened.map.keys().map_err(failure)? {
            put(&match opened.stored(&key) {
                Ok(Some(value)) => shown(&key, &value),
                // It has gone meanwhile, or the slot is empty.
                Ok(None) => continue,
                Err(Failure::Run(reason)) if json => {
                    let error = Json::object().text("error", &reason).end();
                    Json::object().raw("key", octets(&key)).raw("value", error).end()
                }
                Err(Failure::Run(reason)) => format!("{}: {reason}\n", plain(&key)),
                Err(error) => return Err(error),
            })?;
        }
    } else {
        for entry in entries {
            let (key, value) = entry.map_err(failure)?;
            put(&shown(&key, &opened.of_bytes(value)?))?;
        }
    }
    out.buffer.extend_from_slice(if json { b"]\n" } else { b"" });
    out.flush()
}

fn get(opened: &Opened, key: Option<&str>, json: bool) -> Result<(), Failure> {
    let key = match key {
        Some(key) if opened.info.key_size > 0 => opened.key(key)?,
        None if opened.info.key_size == 0 => Vec::new(),
        Some(_) => return Err(Failure::Usage(format!("map `{}` has no keys", opened.info.name))),
        None => return Err(Failure::Usage(format!("map `{}` has keys; say which", opened.info.name))),
    };
    let Some(value) = opened.stored(&key)? else {
        let what = if key.is_empty() { "is empty" } else { "has no entry with this key" };
        return Err(Failure::Run(format!("map `{}` {what}", opened.info.name)));
    };
    match json {
        true => print(&format!("{}\n", opened.entry_json(&key, &value))),
        false => print(&opened.entry_text(&key, &value)),
    }
}

fn set(opened: &Opened, entry: &[String], update: Update, cpu: Option<usize>) -> Result<(), Failure> {
    let (key, value) = match (entry, opened.info.key_size) {
        ([value], 0) => (Vec::new(), value),
        ([key, value], 1..) => (opened.key(key)?, value),
        ([_], _) => return Err(Failure::Usage(format!("map `{}` has keys: give KEY and VALUE", opened.info.name))),
        _ => return Err(Failure::Usage(format!("map `{}` has no keys: give only VALUE", opened.info.name))),
    };
    let value = opened.types.value_from(value).map_err(|error| Failure::Usage(error.to_string()))?;
    if !opened.is_per_cpu() {
        if cpu.is_some() {
            let name = &opened.info.name;
            return Err(Failure::Usage(format!("map `{name}` has one value for all processors; leave --cpu out")));
        }
        return opened.map.set(&key, &value, update).map_err(failure);
    }
    let count = opened.map.value_size() / value.len().next_multiple_of(8).max(1);
    let mut values = vec![value.clone(); count];
    if let Some(cpu) = cpu {
        if cpu >= count {
            return Err(Failure::Usage(format!("there is no processor {cpu}; there are {count}, from 0")));
        }
        let before = opened.map.get_per_cpu(&key).map_err(failure)?;
        for (number, kept) in values.iter_mut().enumerate().filter(|(number, _)| *number != cpu) {
            let old = before.as_ref().and_then(|before| before.on(number));
            *kept = old.map_or_else(|| vec![0; value.len()], <[u8]>::to_vec);
        }
    }
    opened.map.set_per_cpu(&key, &values, update).map_err(failure)
}

fn delete(opened: &Opened, key: &str) -> Result<(), Failure> {
    match opened.map.remove(&opened.key(key)?).map_err(failure)? {
        true => Ok(()),
        false => Err(Failure::Run(format!("map `{}` has no entry with this key", opened.info.name))),
    }
}

fn info(opened: &Opened, json: bool) -> Result<(), Failure> {
    let row = MapRow::of(&opened.map, &survey()?, &programs()?, true).map_err(failure)?;
    if json {
        return print(&format!("{}\n", maps::json(&row)));
    }
    let facts = &row.info;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("{name:12}{value}\n"));
        }
    };
    line("number", facts.id.to_string());
    line("name", facts.name.clone());
    line("type", row.type_name());
    line("key", format!("{} bytes", facts.key_size));
    let each = if opened.is_per_cpu() { " on each processor" } else { "" };
    line("value", format!("{} bytes{each}", facts.value_size));
    line("capacity", facts.max_entries.to_string());
    line("entries", row.entries.map(|count| count.to_string()).unwrap_or_default());
    line("flags", if facts.flags == 0 { String::new() } else { format!("{:#x}", facts.flags) });
    line("memory", row.memory.map(bytes).unwrap_or_default());
    line("frozen", if row.frozen == Some(true) { "yes".to_owned() } else { String::new() });
    line("types", if facts.btf_id == 0 { String::new() } else { format!("BTF {}", facts.btf_id) });
    line("programs", row.programs.iter().map(u32::to_string).collect::<Vec<_>>().join(", "));
    line("held by", holders(&row.holders, &row.pins));
    print(&text)
}
