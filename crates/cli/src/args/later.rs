//! Definitions of sub-commands that are made when the command line names them: all of them together take longer than some
//! commands run.

use std::marker::PhantomData;
use std::ops::Deref;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};

/// Arguments of a sub-command, `T`, defined only if it is the one to run.
#[derive(Debug)]
pub struct Later<T, Kind = Arguments>(T, PhantomData<Kind>);

/// As [`Later`], for a sub-command with sub-commands of its own.
pub type LaterCommand<T> = Later<T, Commands>;

/// `T` is [`Args`].
#[derive(Debug)]
pub struct Arguments;

/// `T` is [`Subcommand`].
#[derive(Debug)]
pub struct Commands;

impl<T, Kind> Deref for Later<T, Kind> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: FromArgMatches, Kind> FromArgMatches for Later<T, Kind> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(|made| Self(made, PhantomData))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// A definition that says of itself what the list of sub-commands says of it, and no more than `T` says of the same.
fn defined(listed: Command, define: impl FnOnce(Command) -> Command) -> Command {
    let about = listed.get_about().cloned().unwrap_or_default();
    let command = define(listed);
    if command.get_about() == Some(&about) { command } else { command.about(about).long_about(None) }
}

impl<T: Args> Args for Later<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| defined(command, T::augment_args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(|command| defined(command, T::augment_args_for_update))
    }
}

impl<T: Subcommand> Args for LaterCommand<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| {
            let command = defined(command, T::augment_subcommands);
            command.subcommand_required(true).arg_required_else_help(true)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(|command| defined(command, T::augment_subcommands_for_update))
    }
}
