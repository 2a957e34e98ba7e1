//! The tour: a real HTTP server, a real client, and everything that goes wrong between them.
//!
//! `cargo run` plays it in a few seconds. It checks what it tells, and ends with an error if anything did not
//! happen as told.

mod server;
mod shop;
mod story;
mod turns;

use std::{error::Error, process::ExitCode};

use self::{server::Server, shop::Shop, story::Story};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut server = Server::start().await?;
    let shop = Shop::new(server.address())?;
    println!("A shop's server listens on {}. Five annotated functions call it", server.address());
    println!("while everything goes wrong that can. ✓ was checked, ● is a circuit that changes its state.");
    let mut story = Story::begin();
    turns::fair_weather(&mut story, &server, &shop).await;
    turns::errors(&mut story, &server, &shop).await;
    turns::hang(&mut story, &server, &shop).await;
    turns::recovery(&mut story, &server, &shop).await;
    turns::gone(&mut story, &mut server, &shop).await?;
    turns::slow(&mut story, &server, &shop).await;
    turns::throttled(&mut story, &server, &shop).await;
    turns::by_hand(&mut story, &shop).await;
    Ok(if story.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
