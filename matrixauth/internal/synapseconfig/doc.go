// Package synapseconfig reads a Synapse homeserver.yaml, says which of its settings make Synapse refuse
// to start once its logins are delegated, prints the block that delegates them, and moves a file from
// experimental_features.msc3861 to matrix_authentication_service without touching another byte.
//
// It knows Synapse's file and nothing of ours. Values are read as Synapse reads them: Synapse uses
// PyYAML (YAML 1.1, where yes and off are booleans and the last of two equal keys wins) and tests
// settings by Python's truth, so that the text "false" in quotes counts as true.
package synapseconfig
