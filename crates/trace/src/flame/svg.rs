//! The picture of a flame graph: a box for each function in each place, as wide as its number, callers below.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::KERNEL;

/// Width of the picture and of its margins.
const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
/// Height of a box.
const ROW: usize = 17;
/// What is above and below the boxes.
const ABOVE: usize = 40;
const BELOW: usize = 30;
/// Boxes that are narrower are left out: nobody could see them.
const NARROWEST: f64 = 0.1;
/// Rough width of a letter.
const LETTER: f64 = 6.6;

/// Zoom and search. Boxes keep their place and width as parts of the whole in `data-` attributes.
const SCRIPT: &str = include_str!("flame.js");

/// A function called by the same functions.
#[derive(Debug, Default)]
struct Node {
    weight: u64,
    below: BTreeMap<String, Node>,
}

/// The picture for stack traces with their numbers.
pub(super) fn draw(stacks: &BTreeMap<Vec<String>, u64>, title: &str) -> String {
    let mut root = Node::default();
    let mut deepest = 0;
    for (frames, weight) in stacks {
        deepest = deepest.max(frames.len());
        root.weight = root.weight.saturating_add(*weight);
        let mut node = &mut root;
        for frame in frames {
            node = node.below.entry(frame.clone()).or_default();
            node.weight = node.weight.saturating_add(*weight);
        }
    }
    let height = ABOVE + BELOW + (deepest + 1) * ROW;
    let mut out = String::new();
    // Writing to a text cannot fail.
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" \
         height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n<style>\
         .f {{ cursor: pointer }} .f:hover rect {{ stroke: #000 }} .m rect {{ fill: #c6f }} .p {{ opacity: .5 }} \
         text {{ pointer-events: none }} .b {{ cursor: pointer; pointer-events: auto }}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fdfdf6\"/>\n\
         <text x=\"50%\" y=\"24\" text-anchor=\"middle\" font-size=\"16\">{}</text>\n\
         <text id=\"reset\" class=\"b\" x=\"{MARGIN}\" y=\"24\" visibility=\"hidden\">whole picture</text>\n\
         <text id=\"search\" class=\"b\" x=\"{}\" y=\"24\" text-anchor=\"end\">search</text>\n\
         <text id=\"about\" x=\"{MARGIN}\" y=\"{}\"> </text>\n<text id=\"found\" x=\"{}\" y=\"{}\" text-anchor=\"end\"> </text>\n\
         <g id=\"frames\" data-width=\"{}\" data-margin=\"{MARGIN}\">\n",
        escape(title),
        WIDTH - MARGIN,
        height - 10,
        WIDTH - MARGIN,
        height - 10,
        WIDTH - 2.0 * MARGIN,
    );
    let picture = Picture { whole: root.weight, height };
    picture.boxes(&mut out, "all", &root);
    let _ = write!(out, "</g>\n<script><![CDATA[\n{SCRIPT}]]></script>\n</svg>\n");
    out
}

struct Picture {
    whole: u64,
    height: usize,
}

impl Picture {
    fn part(&self, weight: u64) -> f64 {
        if self.whole == 0 { 0.0 } else { weight as f64 / self.whole as f64 }
    }

    /// All boxes.
    fn boxes(&self, out: &mut String, name: &str, root: &Node) {
        let mut open: Vec<(&str, &Node, u64, usize)> = vec![(name, root, 0, 0)];
        while let Some((name, node, start, level)) = open.pop() {
            if self.part(node.weight) * (WIDTH - 2.0 * MARGIN) < NARROWEST {
                continue;
            }
            self.one(out, name, node.weight, start, level);
            let mut next = start;
            for (name, child) in &node.below {
                open.push((name, child, next, level + 1));
                next += child.weight;
            }
        }
    }

    fn one(&self, out: &mut String, name: &str, weight: u64, start: u64, level: usize) {
        let (from, part) = (self.part(start), self.part(weight));
        let inner = WIDTH - 2.0 * MARGIN;
        let (x, width) = (MARGIN + from * inner, part * inner);
        let y = self.height - BELOW - (level + 1) * ROW;
        let letters = (width / LETTER) as usize;
        let shown: String = match letters {
            0..=2 => String::new(),
            room if name.chars().count() <= room => name.to_owned(),
            room => name.chars().take(room - 2).chain("..".chars()).collect(),
        };
        let _ = writeln!(
            out,
            "<g class=\"f\" data-x=\"{from:.7}\" data-w=\"{part:.7}\" data-l=\"{level}\"><title>{} ({weight}, \
             {:.2}%)</title><rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{}\" rx=\"1\"/><text \
             x=\"{:.1}\" y=\"{}\">{}</text></g>",
            escape(name),
            part * 100.0,
            ROW - 1,
            colour(name),
            x + 3.0,
            y + 12,
            escape(&shown),
        );
    }
}

/// The same colour for the same name: warm for processes, cool for the kernel.
fn colour(name: &str) -> String {
    // FNV-1a.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, _, _] = hash.to_le_bytes();
    let (hue, light) = if name.ends_with(KERNEL) {
        (190 + u32::from(a) % 30, 60 + u32::from(b) % 15)
    } else {
        (10 + u32::from(a) % 45, 58 + u32::from(b) % 15)
    };
    format!("hsl({hue},75%,{light}%)")
}

/// Text for XML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            letter => out.push(letter),
        }
    }
    out
}
