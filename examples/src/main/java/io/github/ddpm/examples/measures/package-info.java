/**
 * The measures say how good pictures are. The distances compare two sets of feature vectors, one
 * row a picture; {@link io.github.ddpm.examples.measures.DigitClassifier} makes them of digits, and
 * {@link io.github.ddpm.examples.measures.FeatureNetwork} of any pictures, by a network that a user
 * names. Each is that of its paper in the feature space of that network, so numbers compare only
 * with numbers of the same network and the same count: look at them beside the floor, which is what
 * other real pictures get: below it these measures see no more.
 */
package io.github.ddpm.examples.measures;
