//! What the machine has to do: written by the host into the initial file system, read by the first process.

use std::path::PathBuf;

use serde_json::{Value, json};

/// Where the plan lies in the machine.
pub const PATH: &str = "/skep/plan.json";

/// Directory of the kernel modules in the machine.
pub const MODULES: &str = "/skep/modules";

/// The serial lines of the machine in the order of the emulator's arguments: what tests print, what the kernel prints,
/// and the one line that says how it ended.
pub const LINES: [&str; 3] = ["ttyS0", "ttyS1", "ttyS2"];

/// Starts the line of the third serial line; the status in decimal follows.
pub const ENDED: &str = "ended ";

/// Everything that the first process has to know.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Environment variables of all commands, beside `PATH` and the like.
    pub environment: Vec<(String, String)>,
    /// File names of modules below [`MODULES`] with their parameters, each after those that it depends on.
    pub modules: Vec<(String, String)>,
    /// What to run, in this order.
    pub commands: Vec<Step>,
}

/// One program to run.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// What to print before it; nothing if empty.
    pub title: String,
    /// The directory to run it in.
    pub directory: PathBuf,
    /// The program with its arguments.
    pub words: Vec<String>,
}

impl Plan {
    /// The text for [`PATH`].
    pub fn to_json(&self) -> String {
        let pairs = |pairs: &[(String, String)]| pairs.iter().map(|(first, second)| json!([first, second])).collect();
        let (environment, modules): (Value, Value) = (pairs(&self.environment), pairs(&self.modules));
        let steps: Value = self.commands.iter().map(Step::to_value).collect();
        json!({ "environment": environment, "modules": modules, "commands": steps }).to_string()
    }

    /// Reads what [`Plan::to_json`] wrote.
    ///
    /// # Errors
    /// A message if it is something else.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("{PATH}: {error}"))?;
        Ok(Self {
            environment: pairs(&value["environment"])?,
            modules: pairs(&value["modules"])?,
            commands: list(&value["commands"])?.iter().map(Step::from_value).collect::<Result<_, _>>()?,
        })
    }
}

impl Step {
    fn to_value(&self) -> Value {
        json!({ "title": self.title, "directory": self.directory.to_string_lossy(), "words": self.words })
    }

    fn from_value(value: &Value) -> Result<Self, String> {
        Ok(Self {
            title: word(&value["title"])?,
            directory: PathBuf::from(word(&value["directory"])?),
            words: list(&value["words"])?.iter().map(word).collect::<Result<_, _>>()?,
        })
    }
}

fn pairs(value: &Value) -> Result<Vec<(String, String)>, String> {
    list(value)?.iter().map(|pair| Ok((word(&pair[0])?, word(&pair[1])?))).collect()
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{PATH}: expected a list, found {value}"))
}

fn word(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{PATH}: expected a string, found {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_survive_the_way_into_the_machine() {
        let plan = Plan {
            environment: vec![("NAME".to_owned(), "with \"quotes\"\nand lines".to_owned())],
            modules: vec![("ifb.ko".to_owned(), "numifbs=0".to_owned())],
            commands: vec![Step {
                title: "kernel: unit tests".to_owned(),
                directory: PathBuf::from("/somewhere"),
                words: vec!["/program".to_owned(), "--exact".to_owned()],
            }],
        };
        assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan);
        assert!(Plan::from_json("{}").unwrap_err().contains("expected a list, found null"));
        assert!(Plan::from_json("{").is_err());
    }
}
