"""What the models look for and what a generator makes: attribution, maximisation, the GAN."""
