//! The programs of every shape pass the verifier.

use skep_kernel::{KernelError, LoadError, LoadOptions};
use skep_strace::program::{Shape, Status, TaskOffsets, object};

fn shape() -> Shape {
    Shape {
        own: std::process::id(),
        threads: false,
        follow: false,
        name: None,
        group: false,
        status: Status::Any,
        send: true,
        count: false,
        signals: true,
        stack: false,
        ring: 1 << 20,
        task: TaskOffsets { pid: 100, tgid: 104, exit_code: 108 },
    }
}

#[test]
fn every_shape_loads() {
    let shapes = [
        shape(),
        Shape { threads: true, follow: true, stack: true, ..shape() },
        Shape { name: Some(*b"cat\0\0\0\0\0\0\0\0\0\0\0\0\0"), group: true, ..shape() },
        Shape { send: false, count: true, ..shape() },
        Shape { send: false, count: true, status: Status::Failure, ..shape() },
        Shape { count: true, status: Status::Success, ..shape() },
    ];
    for shape in shapes {
        let object = object(&shape).unwrap();
        match skep_kernel::load_with(&object, &LoadOptions { pins: None, ..LoadOptions::default() }) {
            Ok(_) => {}
            Err(
                LoadError::Program { error: KernelError::NotPermitted { .. }, .. }
                | LoadError::Map { error: KernelError::NotPermitted { .. }, .. },
            ) => {
                println!("SKIPPED: loading programs is not permitted");
                assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"));
            }
            Err(LoadError::Program { program, error: KernelError::Rejected { log, .. } }) => {
                let text = log.text();
                let tail: Vec<&str> = text.lines().rev().take(60).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                panic!("{program}: {}", tail.join("\n"));
            }
            Err(error) => panic!("{error}"),
        }
    }
}
