"""One module a stage of dvc.yaml: each reads files, writes files and knows no other stage."""
