"""The published systems in plain NumPy, each as printed and corrected."""
