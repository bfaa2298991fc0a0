//! Is what is shipped beside the program right: the pages, the configurations and the boards?

mod dashboards;
mod documents;
mod files;
