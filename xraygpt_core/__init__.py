"""What the system is: settings, ledger, storage, DICOM and model. No main loop, no HTTP, no task body."""
