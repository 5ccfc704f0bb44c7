//! store_api
