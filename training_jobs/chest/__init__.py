"""The check whether an image is a chest radiograph: its pictures, its fit, its report."""
