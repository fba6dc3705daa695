//! Scripts compiled as a whole: what the compiler makes follows the rules of the representation, code is generated for
//! it, and the running kernel accepts the programs.

mod compile {
    mod direct;
    mod errors;
    mod generated;
    mod mutations;
    mod plans;
    mod routes;
    mod run;
    pub mod world;
}

use compile::world;

#[test]
fn every_construct_is_accepted_by_the_kernel() {
    world::check_all(world::constructs());
}

#[test]
fn tools_are_accepted_by_the_kernel() {
    world::check_all(world::tools());
}
