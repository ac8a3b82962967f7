//! Settings (GUC).
