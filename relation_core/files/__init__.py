"""Files of any kind: opening what users and strangers bring."""
