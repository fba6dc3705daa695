//! The property of [`super::explain`] on arbitrary programs, for tests and fuzz targets: it ends, with one line for
//! each instruction, and its drawings are complete.

use skep_isa::classic::{FORMS, Insn};
use skep_proto::LinkType;

use super::explain;

/// Link types whose headers are known, and one whose are not.
const LINKS: [LinkType; 8] = [
    LinkType::EN10MB,
    LinkType::RAW,
    LinkType::LINUX_SLL,
    LinkType::NULL,
    LinkType::PPP,
    LinkType::IEEE802_11,
    LinkType::IEEE802_11_RADIO,
    LinkType::DOCSIS,
];

/// Explains the program that `data` holds: eight bytes for each instruction, valid or not.
///
/// # Panics
/// If the explanation is not complete.
pub fn check(data: &[u8]) {
    let (&choice, data) = data.split_first().unwrap_or((&0, &[]));
    let insn = |bytes: &[u8]| {
        // Mostly opcodes that exist, with distances that stay in the program and operands that mean something.
        let form = FORMS.get(usize::from(bytes[0]) % (FORMS.len() + 1));
        let [jt, jf] = [bytes[2], bytes[3]].map(|distance| if bytes[1] < 250 { distance % 5 } else { distance });
        let k = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let usual = [0, 2, 6, 9, 12, 14, 16, 17, 40, 0x800, 0x86dd, 0x8100, 0xf0, 0x1fff, 0x6558];
        let k = if bytes[1] < 200 { usual[bytes[4] as usize % usual.len()] } else { k };
        Insn { code: form.map_or(u16::from(bytes[1]) << 8, |form| form.code()), jt, jf, k }
    };
    let program: Vec<Insn> = data.chunks_exact(8).map(insn).collect();
    let explanation = explain(&program, LINKS[usize::from(choice) % LINKS.len()]);
    assert_eq!(explanation.lines.len(), program.len());
    assert!(explanation.lines.iter().all(|line| !line.remark.is_empty() && !line.remark.contains('\u{1}')));
    let text = explanation.to_string();
    assert!(text.lines().count() >= program.len());
    let (dot, tree) = (explanation.dot(), explanation.text_graph());
    // Every question that the graph has is printed exactly once in the text.
    let questions = dot.lines().filter(|line| line.contains("shape=oval") || line.contains("[label=\"(")).count();
    let verdicts = dot.lines().filter(|line| line.contains("shape=oval")).count();
    let printed = tree.lines().filter(|line| line.trim_start_matches("|  ").starts_with('(')).count();
    assert_eq!(printed, questions - verdicts, "{dot}\n{tree}");
}
