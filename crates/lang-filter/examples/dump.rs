//! dump
use skep_lang_filter::*;
fn main() {
    let mut a: Vec<String> = std::env::args().skip(1).collect();
    let o = if a[0] == "-O" {
        a.remove(0);
        false
    } else {
        true
    };
    let link = skep_proto::LinkType::from_name(&a[0]).unwrap();
    let opts = Options { link, optimize: o, compat: Compat::V1_10, ..Options::default() };
    let r = names::FixedResolver::new();
    let src = if let Some(f) = a[1].strip_prefix("@@") { std::fs::read_to_string(f).unwrap() } else { a[1].clone() };
    let t = std::time::Instant::now();
    match compile(&src, &opts, &r) {
        Ok(f) => {
            if f.program.len() < 300 {
                print!("{}", skep_isa::classic::listing(&f.program, skep_isa::classic::PadStyle::V1_11));
            }
            eprintln!("{} insns {:?}", f.program.len(), t.elapsed());
            if !f.fits_kernel() {
                let o = f.object().unwrap();
                eprintln!(
                    "64-bit: {} insns, {} maps {:?} {:?}",
                    o.programs[0].insns.len(),
                    o.maps.len(),
                    o.maps.iter().map(|m| m.contents.len()).collect::<Vec<_>>(),
                    t.elapsed()
                );
            }
        }
        Err(e) => {
            for d in e {
                println!("{}: {:?} {:?}", d.message, d.span, d.help)
            }
        }
    }
}
