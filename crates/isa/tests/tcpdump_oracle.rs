//! Holds the classic printers against the installed tcpdump and the `bpf_image` function of its libpcap.

use std::fmt::Write as _;
use std::process::Command;

use skep_isa::classic::{
    Insn, PadStyle, c_array, check, decimal, line, listing, parse_c_array, parse_decimal, parse_listing,
};

const FILTERS: &[&str] = &[
    "",
    "ip",
    "ip and tcp",
    "udp port 53",
    "host 10.0.0.1",
    "host 10.0.0.1 or host 10.0.0.2 or host 192.168.7.9",
    "net 10.0.0.0/8 and not net 10.1.0.0/16",
    "ip6 host 2001:db8::1",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    "ether[0] & 1 = 0 and ip[16] >= 224",
    "ip[6:2] & 0x1fff = 0",
    "icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply",
    "len > 100 and len - 14 < 1000",
    "ip[8] * 3 + ip[9] / 2 > ip[2:2]",
    "ip[8] << 2 >= ip[9] | 7",
    "5 < -ip[0]",
    "vlan 5 and ip",
    "vlan and vlan and tcp dst port 22",
    "mpls 100 and ip",
    "inbound",
    "outbound and ip",
    "ifindex 3",
    "pppoes 7 and ip6",
    "ether multicast",
    "ether host 00:11:22:33:44:55",
    "portrange 1000-2000",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    "ip[ip[0]] = 7",
    "arp or rarp",
    "less 100 or greater 1000",
    "ip proto 47",
    "ip protochain 6",
    "ether proto 0x88cc",
    "llc",
    "geneve 7",
    "tcp[4:4] ^ tcp[8:4] = 0",
    "ip[8] % 7 = 3",
];

/// Runs a program, `None` with a note if it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => panic!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            println!("SKIPPED: {program} cannot be run: {error}");
            None
        }
    }
}

/// The white space of the installed release: lines without operand end in a blank before 1.11.
fn installed_style() -> Option<PadStyle> {
    let text = run("tcpdump", &["-y", "EN10MB", "-d", "ip[ip[0]] = 7"])?;
    let padded = text.lines().any(|line| line.ends_with(' '));
    Some(if padded { PadStyle::V1_10 } else { PadStyle::V1_11 })
}

#[test]
fn listings_equal_those_of_tcpdump() {
    let Some(style) = installed_style() else { return };
    for optimise in [None, Some("-O")] {
        for filter in FILTERS {
            let print = |format| {
                let mut arguments = vec!["-y", "EN10MB", format];
                arguments.extend(optimise);
                arguments.push(filter);
                run("tcpdump", &arguments).unwrap()
            };
            let (d, dd, ddd) = (print("-d"), print("-dd"), print("-ddd"));
            let insns = parse_decimal(&ddd).unwrap();
            assert_eq!(decimal(&insns), ddd, "{filter}");
            assert_eq!(c_array(&insns), dd, "{filter}");
            assert_eq!(listing(&insns, style), d, "{filter}");
            // libpcap leaves values behind in the unused fields of `tax` and others; a listing does not show them.
            let visible: Vec<Insn> = insns.iter().map(|insn| insn.decode().unwrap().encode()).collect();
            assert_eq!(parse_listing(&d).unwrap(), visible, "{filter}");
            assert_eq!(parse_c_array(&dd).unwrap(), insns, "{filter}");
            if !filter.contains("protochain") {
                assert_eq!(check(&insns), Ok(()), "{filter}");
            }
        }
    }
}

/// Prints `bpf_image` of every instruction read from standard input, "code jt jf k index" on each line.
const BPF_IMAGE: &str = r#"
import ctypes, sys
lib = ctypes.CDLL("libpcap.so.0.8")
class Insn(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]
lib.bpf_image.restype = ctypes.c_char_p
for line in open(sys.argv[1]):
    code, jt, jf, k, index = map(int, line.split())
    print(lib.bpf_image(ctypes.byref(Insn(code, jt, jf, k)), index).decode())
"#;

#[test]
fn single_lines_equal_bpf_image() {
    let Some(style) = installed_style() else { return };
    if Command::new("python3")
        .args(["-c", "import ctypes; ctypes.CDLL('libpcap.so.0.8')"])
        .status()
        .is_ok_and(|s| !s.success())
    {
        println!("SKIPPED: python3 cannot load libpcap.so.0.8");
        return;
    }
    let mut insns = Vec::new();
    for code in 0..=0x101 {
        for k in [0, 1, 12, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff].into_iter().chain(0xffff_eff0..0xffff_f050) {
            insns.push((Insn { code, jt: 3, jf: 250, k }, if k == 12 { 1234 } else { 7 }));
        }
    }
    let mut input = String::new();
    for (insn, index) in &insns {
        let _ = writeln!(input, "{} {} {} {} {index}", insn.code, insn.jt, insn.jf, insn.k);
    }
    let file = std::env::temp_dir().join(format!("skep-isa-bpf-image-{}", std::process::id()));
    std::fs::write(&file, input).unwrap();
    let output = run("python3", &["-c", BPF_IMAGE, file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    let Some(output) = output else { return };
    let mut lines = output.lines();
    for (insn, index) in &insns {
        let expected = lines.next().unwrap();
        // libpcap never emits `ldx #pktlen` and so cannot print it.
        if insn.decode() != Some(skep_isa::classic::Op::LdxLen) {
            assert_eq!(line(insn, *index, style), expected, "{insn:?}");
        }
    }
    assert_eq!(lines.next(), None);
}
