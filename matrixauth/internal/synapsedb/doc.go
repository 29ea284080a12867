// Package synapsedb reads the accounts of Synapse from its database, as a Source of package move, and writes passwords
// back into it. It leaves no trace where it only reads: SQLite's file and what lies beside it stay as they are, and
// PostgreSQL sees one transaction that writes nothing. What a row becomes is decided by the mapper, which touches neither.
package synapsedb
