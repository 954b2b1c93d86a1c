"""Correct programs in many styles, asked as their authors would ask: is any of them called wrong?"""
