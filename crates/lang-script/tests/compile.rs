//! Scripts compiled as a whole: what the compiler makes follows the rules of the representation, code is generated for
//! it, and the running kernel accepts the programs.

mod compile {
    pub mod world;
}

use compile::world;

#[test]
fn every_construct_is_accepted_by_the_kernel() {
    for (name, text) in world::constructs() {
        world::check(&name, &text);
    }
}

#[test]
fn tools_compile() {
    for (name, text) in world::tools() {
        world::check(&name, &text);
    }
}
